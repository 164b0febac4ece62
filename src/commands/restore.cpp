#include "sync/restore.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "access/health_context.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "base/text.h"
#include "commands/commands.h"
#include "fs/identity.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "health/health.h"
#include "log/log.h"
#include "options/store_path.h"
#include "store/generations.h"
#include "store/inspect.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/progress_line.h"
#include "ui/refusal.h"

namespace claude_init::commands {
namespace {

sync::RestoreOptions restore_options(const options::Restore& options) {
  sync::RestoreOptions restore;
  restore.refresh_token = options.refresh_token;
  restore.filter = options.filter;
  restore.limits = options.limits;
  // Who asks for an earlier login by its number wants that one.
  restore.keep_better_login = options.generation == 0;
  if (options.generation != 0) restore.extent = store::Extent::login;
  return restore;
}

/// The directory in which something is made: that one, or the one above it where it is not there yet.
std::string where_to_write(const access::Directory& to) {
  const std::string path = to.exists ? to.path : fs::parent_of(to.path);
  return path.empty() ? "/" : path;
}

bool can_write(const access::Directory& to) {
  const fs::ActAs as(to.owner);
  return fs::access_by_rights(AT_FDCWD, where_to_write(to), W_OK | X_OK) == 0;
}

void report(const ui::Console& console, const sync::RestoreReport& restored, const options::Restore& options,
            const std::string& to) {
  console.good(fmt::format("Restored {} file{} ({}) to {}.", restored.files, restored.files == 1 ? "" : "s",
                           format_bytes(restored.bytes), printable(to)));
  for (const auto& skipped : restored.skipped)
    console.warning(fmt::format("not restored: {}: {}", printable(skipped.path), skipped.reason));
  const bool works = restored.login_restored && restored.login && exit_status_of(*restored.login) == kExitOk;
  if (works && options.refresh_token == store::RefreshToken::withhold) {
    console.text(
        "The login is without its refresh token, so it cannot be renewed there, nor log anybody out "
        "(--refresh-token=copy hands it on).");
  }
}

/// One object on one line: what became of the login and of the files.
std::string as_json(const std::string& store, const std::string& to, const sync::RestoreReport& restored) {
  using nlohmann::ordered_json;
  ordered_json out{
      {"store", store},
      {"to", to},
      {"login",
       {{"restored", restored.login_restored},
        {"state", restored.login ? ordered_json(login::name_of(*restored.login)) : ordered_json()}}},
      {"files", {{"restored", restored.files}, {"bytes", restored.bytes}}}};
  out["skipped"] = ordered_json::array();
  for (const auto& skipped : restored.skipped)
    out["skipped"].push_back({{"path", skipped.path}, {"reason", skipped.reason}});
  return out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

/// The status for a login that could not be restored, or that is of no use to anybody, which is told.
int report_login(const ui::Console& console, const std::string& store, const sync::RestoreReport& restored,
                 const options::Restore& options, const store::StoreOptions& opening,
                 const options::Environment& environment) {
  if (!restored.login) return kExitOk;  // it was not asked for
  const int status = exit_status_of(*restored.login);
  if (status == kExitOk) return status;
  const bool in_vain = restored.login_restored && *restored.login != login::State::missing;
  const std::string_view before =
      in_vain ? "the login that was restored cannot be used: " : "no login was restored: ";
  const store::Inspection seen = store::inspect(store, unix_now(), opening);
  if (seen.state == login::State::renewable && *restored.login == login::State::expired) {
    console.bad(
        fmt::format("{}it is expired: its access token has ended, and it is without its refresh token",
                    before),
        name_of_exit_status(status));
    console.remedy("--refresh-token=copy hands that on; or let a session on the store renew it first");
    return status;
  }
  // An earlier login is not what the store has now, nor is what has been put there meanwhile.
  if (options.generation == 0 && seen.state == *restored.login) {
    access::print_explanation(log::Level::error, before,
                              health::explain(seen, access::health_context(seen, environment)), environment,
                              status);
  } else {
    console.bad(fmt::format("{}it is {}", before, login::name_of(*restored.login)),
                name_of_exit_status(status));
  }
  return status;
}

}  // namespace

/// 1. The store and the target: two directories that have nothing to do with each other.
/// 2. What the store has now, or an earlier login.
/// 3. Restore as the target's owner, and tell. What can be restored is, also where the login cannot.
int restore_command(const options::Restore& options, const options::Environment& environment) {
  const ui::Console console(access::is_plain(environment));
  // 1.
  const std::string path = options::choose_store(options.store, environment.get("HOME"), environment);
  store::StoreOptions opening;
  if (const auto taken = access::take_seal_key(options.sealing, path, opening); !taken)
    return ui::refuse(console, taken.error());
  auto store = store::Store::open(path, opening);
  if (!store) return ui::refuse(console, access::with_how_to_read(store.error(), path, environment));
  const auto to = access::named_directory("--to", options.to, path);
  if (!to) return ui::refuse(console, to.error(), kExitUsage);
  // 2.
  if (options.generation != 0) {
    auto earlier = store::open_generation(*store, options.generation);
    if (!earlier) {
      Error error = earlier.error();
      if (error.kind != ErrorKind::not_found)
        return ui::refuse(console, access::with_how_to_read(error, path, environment));
      error.remedy = "claude-init history --store " + shell_quote(path) + " lists those there are";
      return ui::refuse(console, error, kExitUsage);
    }
    store = std::move(*earlier);
  }
  // 3.
  sync::RestoreOptions restore = restore_options(options);
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto restored = [&] {
    ui::ProgressLine progress("restoring", access::is_plain(environment));
    restore.progress = progress.callback();
    return sync::restore(*store, access::state_in(to->path), to->owner, restore);
  }();
  if (!restored) {
    Error error = restored.error();
    if (error.kind == ErrorKind::permission && !can_write(*to)) {
      error.remedy = fmt::format("uid {} may not write {}: name another directory with --to", ::geteuid(),
                                 printable(where_to_write(*to)));
    }
    // What it names is in the store, or in the directory that it goes to.
    if (error.message().find(printable(path)) == std::string::npos) return ui::refuse(console, error);
    return ui::refuse(console, access::with_how_to_read(std::move(error), path, environment));
  }
  log::info("restored", {{"store", path},
                         {"to", to->path},
                         {"files", restored->files},
                         {"bytes", restored->bytes},
                         {"took", took_since(start)}});
  if (options.output.chosen() == options::Format::json) {
    if (const int failed = ui::print(as_json(path, to->path, *restored)); failed != kExitOk) return failed;
  }
  report(console, *restored, options, to->path);
  const int status = report_login(console, path, *restored, options, opening, environment);
  const sync::Skipped* failed = sync::first_failed(restored->skipped);
  if (status != kExitOk || failed == nullptr) return status;
  return exit_status_of(system_error(failed->error, failed->path));
}

}  // namespace claude_init::commands
