#include "sync/capture.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "access/capture_report.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "base/text.h"
#include "commands/commands.h"
#include "fs/open.h"
#include "lock/lock.h"
#include "log/log.h"
#include "options/store_path.h"
#include "renew/renewal.h"
#include "sync/prepare.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/progress_line.h"
#include "ui/refusal.h"

namespace claude_init::commands {
namespace {

// A person, or a script, has asked for it: somebody else's capture of a large state is worth waiting for.
constexpr Milliseconds kLockWait{60'000};

std::string how_to_have_a_login(login::State source) {
  return source == login::State::missing ? "name with --from the directory that has .credentials.json, or "
                                           "log in first (claude, /login) and "
                                           "capture again"
                                         : "log in again there (claude, /login), and capture again";
}

/// What became of the login, for the person; the status that says the same.
int report_login(const ui::Console& console, const std::string& from, const std::string& store,
                 const login::Verdict& verdict) {
  switch (verdict.choice) {
    case login::Choice::take:
      if (verdict.account_changed) console.warning("This login is of another account than the one before.");
      console.good(fmt::format("Saved the login in {}.", printable(store)));
      return kExitOk;
    case login::Choice::same:
      console.good(fmt::format("{} has this login already.", printable(store)));
      return kExitOk;
    case login::Choice::keep_store:
      if (verdict.source_state == login::State::missing) {
        console.text(fmt::format("There is no login to capture; the one in {} was kept.", printable(store)));
        return kExitOk;
      }
      console.warning(fmt::format("The login was not captured, the one in {} was kept: {}.", printable(store),
                                  verdict.reason));
      if (verdict.store_state == login::State::unreadable) console.text(std::string(access::kHowToMakeRoom));
      return exit_status_of(verdict);
    case login::Choice::nothing:
      console.warning(fmt::format("No login was captured: that in {} is {}.", printable(from),
                                  login::name_of(verdict.source_state)));
      console.text(verdict.source_state == login::State::unreadable
                       ? fmt::format("{}. Give it to us, uid {}, or capture as its owner",
                                     printable(verdict.reason), ::geteuid())
                       : how_to_have_a_login(verdict.source_state));
      return exit_status_of(verdict.source_state);
  }
  return kExitInternal;
}

/// One object on one line: what became of the login and of the files.
std::string as_json(const std::string& from, const std::string& store, const sync::CaptureReport& report) {
  using nlohmann::ordered_json;
  const auto name_of = [](login::Choice choice) {
    switch (choice) {
      case login::Choice::take:
        return "saved";
      case login::Choice::same:
        return "unchanged";
      case login::Choice::keep_store:
        return "kept";
      case login::Choice::nothing:
        break;
    }
    return "none";
  };
  ordered_json out{
      {"store", store},
      {"from", from},
      {"login",
       {{"outcome", name_of(report.login.choice)}, {"state", login::name_of(report.login.source_state)}}},
      {"files",
       {{"added", report.added},
        {"changed", report.changed},
        {"deleted", report.deleted},
        {"unchanged", report.unchanged},
        {"bytes", report.bytes}}}};
  out["skipped"] = ordered_json::array();
  for (const sync::Skipped& skipped : report.skipped)
    out["skipped"].push_back({{"path", skipped.path}, {"reason", skipped.reason}});
  return out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

/// A home directory named instead of the directory in it.
Result<void> check_is_configuration(const access::Directory& from) {
  struct stat st {};
  const std::string inner = fs::join(from.path, ".claude");
  const std::string login = fs::join(from.path, store::kCredentials);
  if (::lstat(login.c_str(), &st) == 0 || ::stat(inner.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
    return Done{};
  return make_error(ErrorKind::usage,
                    printable(from.path) + " is not a configuration directory, but has one in it",
                    "write --from " + shell_quote(inner));
}

}  // namespace

/// 1. The source and the store: two directories that have nothing to do with each other.
/// 2. The store can be written, and is ours for the moment.
/// 3. Capture, and tell.
int capture_command(const options::Capture& options, const options::Environment& environment) {
  const ui::Console console(access::is_plain(environment));
  // 1.
  const std::string path = options::choose_store(options.store, environment.get("HOME"), environment);
  const auto from = access::named_directory("--from", options.from, path);
  if (!from) return ui::refuse(console, from.error(), kExitUsage);
  if (!from->exists) {
    return ui::refuse(console,
                      make_error(ErrorKind::usage, "--from " + printable(options.from) + " is not there",
                                 "name a directory that is there"),
                      kExitUsage);
  }
  if (const auto is = check_is_configuration(*from); !is) return ui::refuse(console, is.error(), kExitUsage);
  // 2.
  if (const auto made = access::create_directories(path); !made) return ui::refuse(console, made.error());
  options::Storing storing = options.storing;
  if (const auto taken = access::take_fitting_seal_key(options.sealing, path, storing.options); !taken)
    return ui::refuse(console, taken.error());
  auto store = access::open_to_write(path, storing, environment);
  if (!store) return ui::refuse(console, store.error());
  if (const auto own = access::check_not_published(*store); !own) return ui::refuse(console, own.error());
  if (const auto fit = sync::prepare(*store, 0); !fit) return ui::refuse(console, fit.error());
  if (const auto settled = renew::settle(*store, "capture", kLockWait); !settled)
    return ui::refuse(console, settled.error());
  const auto lock = lock::Lock::acquire(*store, "store", "capture", kLockWait);
  if (!lock) return ui::refuse(console, lock.error());
  if (const auto settled = access::settle_identity(*store, options.storing, *lock); !settled)
    return ui::refuse(console, settled.error());
  // 3.
  sync::CaptureOptions capture;
  capture.filter = options.filter;
  capture.limits = options.limits;
  capture.delete_missing = options.delete_missing ? sync::Deletions::all : sync::Deletions::none;
  capture.keep_generations = options.storing.keep_generations;
  const SteadyTime start = std::chrono::steady_clock::now();
  auto report = [&] {
    ui::ProgressLine progress("capturing", access::is_plain(environment));
    capture.progress = progress.callback();
    return sync::capture(access::state_in(from->path), from->owner, *store, *lock, capture);
  }();
  if (!report) return ui::refuse(console, report.error());
  log::info("captured", {{"store", path},
                         {"added", report->added},
                         {"changed", report->changed},
                         {"deleted", report->deleted},
                         {"bytes", report->bytes},
                         {"took", took_since(start)}});
  if (options.output.chosen() == options::Format::json) {
    if (const int failed = ui::print(as_json(from->path, path, *report)); failed != kExitOk) return failed;
  }
  const int status = report_login(console, from->path, path, report->login);
  const int files = access::report_files(console, *report);
  const auto unbound =
      std::find_if(report->skipped.begin(), report->skipped.end(),
                   [](const sync::Skipped& each) { return store::is_binding_file(each.path); });
  if (unbound == report->skipped.end()) return status == kExitOk ? files : status;
  console.warning(fmt::format("{} was not saved ({}), and jobs would run without it.", unbound->path,
                              printable(unbound->reason)));
  console.text(
      fmt::format("Save what a link leads to: --include {0}; or leave it out: --exclude {0}", unbound->path));
  if (status != kExitOk) return status;
  return files != kExitOk ? files : kExitIo;
}

}  // namespace claude_init::commands
