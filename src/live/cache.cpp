#include "live/cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>

#include "fs/file.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "store/inspect.h"

namespace claude_init::live {
namespace {

using nlohmann::json;

constexpr Milliseconds kFailureCounts{60'000};
constexpr std::size_t kMaxSize = 4096;

/// Ours and closed to others, or none: in /tmp anybody may have made one of that name before us.
UniqueFd own_directory_in(const std::string& place) {
  const UniqueFd parent(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (place.empty() || !parent.valid()) return {};
  auto made = fs::make_directory(parent.get(), fmt::format("claude-health-{}", ::geteuid()), 0700);
  struct stat st {};
  if (!made || ::fstat(made->get(), &st) != 0) return {};
  const bool ours = st.st_uid == ::geteuid() && (st.st_mode & 077) == 0;
  const bool writable = fs::access_by_rights(made->get(), ".", W_OK | X_OK) == 0;
  return ours && writable ? std::move(*made) : UniqueFd();
}

/// A result as it was kept; nothing where anything is missing or not what it should be.
struct Kept {
  std::string store;
  std::string command;
  UnixMs login_until = 0;
  health::Live live;
};
std::optional<Kept> parse(const std::string& text) {
  const json kept = json::parse(text, nullptr, false);
  if (!kept.is_object()) return std::nullopt;
  const auto has = [&](const char* key, bool (json::*is)() const noexcept) {
    return kept.contains(key) && (kept[key].*is)();
  };
  if (!has("store", &json::is_string) || !has("command", &json::is_string) ||
      !has("login_until", &json::is_number_integer) || !has("at", &json::is_number_integer) ||
      !has("works", &json::is_boolean) || !has("rejected", &json::is_boolean) ||
      !has("said", &json::is_string))
    return std::nullopt;
  Kept out;
  out.store = kept["store"].get<std::string>();
  out.command = kept["command"].get<std::string>();
  out.login_until = kept["login_until"].get<UnixMs>();
  out.live.at = kept["at"].get<UnixMs>();
  out.live.works = kept["works"].get<bool>();
  out.live.rejected = kept["rejected"].get<bool>();
  out.live.said = kept["said"].get<std::string>();
  return out;
}

}  // namespace

Cache::Cache(const store::Inspection& inspection, const std::vector<std::string>& command,
             const options::Environment& environment)
    : store_(inspection.path),
      // Not the words, which may have a secret among them.
      command_(fmt::format("{:016x}", std::hash<std::string>()(fmt::format("{}", fmt::join(command, "\n"))))),
      login_until_(inspection.login ? inspection.login->expires_at : 0),
      name_(fmt::format("{:016x}.json", std::hash<std::string>()(store_ + '\n' + command_))) {
  for (const std::string& place :
       {std::string(environment.get("XDG_RUNTIME_DIR")), std::string("/run"), std::string("/tmp")}) {
    directory_ = own_directory_in(place);
    if (directory_.valid()) return;
  }
}

std::optional<health::Live> Cache::find(Milliseconds max_age, UnixMs now) const {
  if (!directory_.valid()) return std::nullopt;
  const auto file = fs::open_regular(directory_.get(), name_, fs::Links::refuse);
  if (!file) return std::nullopt;
  const auto text = fs::read_all(*file, kMaxSize, name_);
  if (!text) return std::nullopt;
  auto kept = parse(*text);
  if (!kept || kept->store != store_ || kept->command != command_ || kept->login_until != login_until_)
    return std::nullopt;
  health::Live& live = kept->live;
  const Milliseconds counts = live.works ? max_age : std::min(max_age, kFailureCounts);
  const std::int64_t age = now - live.at;  // negative: the clock was set
  return age >= 0 && age < counts.count() ? std::optional(std::move(live)) : std::nullopt;
}

Result<void> Cache::keep(const health::Live& live) const {
  if (!live.executed) return Done{};
  if (!directory_.valid()) {
    return make_error(ErrorKind::not_found, "no place to keep the result of --live for the next probe",
                      "mount a tmpfs at /tmp, or let each probe ask the server");
  }
  const json kept{{"store", store_},  {"command", command_}, {"login_until", login_until_},
                  {"at", live.at},    {"works", live.works}, {"rejected", live.rejected},
                  {"said", live.said}};
  return fs::replace_file(directory_.get(), name_,
                          kept.dump(-1, ' ', false, json::error_handler_t::replace) + '\n', 0600,
                          fs::Sync::no);
}

}  // namespace claude_init::live
