#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "access/health_context.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "base/text.h"
#include "commands/commands.h"
#include "options/store_path.h"
#include "store/generations.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/refusal.h"

namespace claude_init::commands {
namespace {

using nlohmann::ordered_json;
using store::Generation;

ordered_json deadline(std::optional<UnixMs> time) {
  return time ? ordered_json(format_iso8601(*time)) : ordered_json();
}

std::optional<UnixMs> access_until(const Generation& generation) {
  if (!generation.login || generation.login->expires_at == 0) return std::nullopt;
  return generation.login->expires_at;
}

std::optional<UnixMs> login_until(const Generation& generation) {
  return generation.login ? generation.login->refresh_expires_at : std::nullopt;
}

std::string as_json(const std::string& store, const std::vector<Generation>& generations) {
  ordered_json list = ordered_json::array();
  for (const Generation& generation : generations) {
    list.push_back({{"generation", generation.number},
                    {"saved", format_iso8601(generation.at)},
                    {"reason", generation.reason},
                    {"account", generation.account},
                    {"state", login::name_of(generation.state)},
                    {"access_expires_at", deadline(access_until(generation))},
                    {"login_expires_at", deadline(login_until(generation))},
                    {"sealed", generation.sealed},
                    {"has_refresh_token", generation.login && generation.login->has_refresh_token}});
  }
  const ordered_json out{{"store", store}, {"generations", std::move(list)}};
  return out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

/// What stands where the time is not known.
std::string utc_or(std::optional<UnixMs> time, const char* unknown) {
  return time ? format_utc(*time) : unknown;
}

std::string as_text(const std::string& store, const std::vector<Generation>& generations) {
  if (generations.empty()) return fmt::format("{} keeps no earlier logins yet.\n", printable(store));
  std::size_t widest = std::string_view("ACCOUNT").size();
  for (const Generation& generation : generations)
    widest = std::max(widest, printable(generation.account).size());
  std::string text = fmt::format("{:>4}  {:<20}  {:<10}  {:<9}  {:<{}}  {:<20}  {}\n", "NO.", "SAVED",
                                 "REASON", "STATE", "ACCOUNT", widest, "ACCESS UNTIL", "LOGIN UNTIL");
  for (const Generation& generation : generations) {
    text += fmt::format(
        "{:>4}  {:<20}  {:<10}  {:<9}  {:<{}}  {:<20}  {}\n", generation.number, format_utc(generation.at),
        printable(generation.reason), login::name_of(generation.state),
        generation.account.empty() ? "-" : printable(generation.account), widest,
        utc_or(access_until(generation), "-"), utc_or(login_until(generation), "not written down"));
  }
  return text + fmt::format("\nBring one back: claude-init restore --store {} --to DIR --generation NO\n",
                            shell_quote(store));
}

}  // namespace

/// The logins that the store has had, newest last.
int history_command(const options::History& options, const options::Environment& environment) {
  const ui::Console console(access::is_plain(environment));
  const std::string path = options::choose_store(options.store, environment.get("HOME"), environment);
  store::StoreOptions opening;
  if (const auto taken = access::take_seal_key(options.sealing, path, opening); !taken)
    return ui::refuse(console, taken.error());
  const auto store = store::Store::open(path, opening);
  if (!store) return ui::refuse(console, access::with_how_to_read(store.error(), path, environment));
  const auto generations = store::list_generations(*store, unix_now());
  if (!generations)
    return ui::refuse(console, access::with_how_to_read(generations.error(), path, environment));
  const bool json = options.output.chosen() == options::Format::json;
  return ui::print(json ? as_json(path, *generations) : as_text(path, *generations));
}

}  // namespace claude_init::commands
