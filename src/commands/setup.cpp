#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "base/text.h"
#include "commands/commands.h"
#include "commands/console.h"
#include "commands/setup_report.h"
#include "commands/setup_store.h"
#include "log/log.h"
#include "login/login.h"
#include "options/exit_status.h"
#include "store/capture.h"
#include "store/lock.h"
#include "store/restore.h"
#include "workcopy/account.h"
#include "workcopy/privileges.h"
#include "workcopy/workcopy.h"

namespace claude_init::commands {
namespace {

// Another session's capture takes well under this; the engine's own limit is the other bound.
constexpr std::chrono::seconds kLockWait{5};

/// Where the session's CLI keeps its state.
struct Session {
  store::StatePaths state;
  std::optional<workcopy::WorkingCopy> copy;  // where it is not in the home directory
  std::optional<store::Lock> lock;            // this session may renew the login: no other session does
};

bool has_terminal() {
  if (::isatty(STDIN_FILENO) == 1) return true;
  const UniqueFd tty(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  return tty.valid();
}

bool exists(const std::string& path) {
  struct stat st {};
  return ::lstat(path.c_str(), &st) == 0;
}

int refuse(const Console& console, const Error& error) {
  console.bad(error.message());
  if (!error.remedy.empty()) console.text(error.remedy);
  return exit_status_of(error);
}

/// A container that was killed and started again still has what its last session wrote: saved now, before the
/// store's older state is restored over it. What the store got from elsewhere meanwhile is newer and stays.
Result<void> save_leftover(const options::Setup& options, const SetupStore& found, const Session& session,
                           fs::Identity identity, const Console& console) {
  if (!exists(session.state.config_dir)) return Done{};
  const auto lock = store::Lock::acquire(found.store, "store", "capture", kLockWait);
  if (!lock) return lock.error();
  store::CaptureOptions capture;
  capture.filter = options.filter;
  capture.keep_newer = true;
  const auto report = store::capture(session.state, identity, found.store, *lock, capture);
  if (!report) return report.error_with("save what an earlier session left in " + session.state.config_dir);
  if (report->login.choice == login::Choice::take) {
    console.good("Saved a login that an earlier session in this container had not saved.");
  }
  log::info("saved what an earlier session left",
            {{"from", session.state.config_dir}, {"added", report->added}, {"changed", report->changed}});
  return Done{};
}

/// The session's place, its lock, and the store's state in it.
Result<Session> open_session(const options::Setup& options, const options::Environment& environment,
                             const SetupStore& found, const workcopy::Account& account,
                             const Console& console) {
  Session session;
  const fs::Identity identity{account.uid, account.gid};
  const std::string_view config_dir = environment.get("CLAUDE_CONFIG_DIR");
  session.state =
      config_dir.empty() ? store::state_in_home(account.home) : store::state_in_config_dir(config_dir);
  // Two cases in which the home directory is not ours to fill: the store itself is mounted there, and a host
  // whose user has a `.claude` of their own.
  if (found.at_home || (!found.in_container && config_dir.empty() && exists(session.state.config_dir))) {
    workcopy::WorkingCopy::Options place;
    place.places.runtime_dir = environment.get("XDG_RUNTIME_DIR");
    auto copy = workcopy::WorkingCopy::create(account, place);
    if (!copy) return copy.error();
    session.copy = std::move(*copy);
    session.state = session.copy->state();
  }

  store::RestoreOptions restore;
  restore.filter = options.filter;
  if (!found.read_only) {
    auto lock = store::Lock::acquire(found.store, "setup", "setup", Milliseconds(0));
    if (lock) {
      session.lock = std::move(*lock);
      restore.refresh_token = store::RefreshToken::copy;
      if (!session.copy) {
        if (auto saved = save_leftover(options, found, session, identity, console); !saved)
          return saved.error();
      }
    } else if (lock.error().kind == ErrorKind::busy) {
      // Two sessions that renew one login would log each other out; this one can still make a new login.
      console.warning(lock.error().message());
      console.text(
          "This session gets the login without the right to renew it. A new login is saved all the same.");
    } else {
      return lock.error();
    }
  }
  const auto restored = store::restore(found.store, session.state, identity, restore);
  if (!restored) return restored.error_with("restore the store's state");
  log::info("restored", {{"from", found.store.path()},
                         {"to", session.state.config_dir},
                         {"files", restored->files},
                         {"bytes", restored->bytes}});
  for (const auto& skipped : restored->skipped) {
    log::warn("not restored", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
  return session;
}

supervise::Command session_command(const options::Setup& options, const options::Environment& environment,
                                   const workcopy::Account& account, const Session& session) {
  options::Environment child = environment;
  child.set("HOME", account.home);
  child.set("USER", account.name);
  child.set("LOGNAME", account.name);
  child.set("SHELL", account.shell);
  if (session.copy) child.set("CLAUDE_CONFIG_DIR", session.state.config_dir);
  supervise::Command command;
  command.argv = options.command.empty() ? std::vector<std::string>{account.shell} : options.command;
  command.env = child.variables();
  // In an interactive container a person may want sudo.
  command.before_exec = workcopy::drop_to(account, workcopy::NewPrivileges::allow);
  return command;
}

/// Captures, looks at what is in the store now, and tells. Returns the status of ours.
int capture_session(const options::Setup& options, const SetupStore& found, const workcopy::Account& account,
                    const Session& session, SteadyTime deadline, const Console& console) {
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto left = std::chrono::duration_cast<Milliseconds>(deadline - start);
  auto lock = store::Lock::acquire(found.store, "store", "capture",
                                   std::clamp<Milliseconds>(left, Milliseconds(0), kLockWait));
  if (!lock) return report_failure(console, found, lock.error());

  store::CaptureOptions capture;
  capture.filter = options.filter;
  capture.rules.allow_account_change = true;  // a person sat in front of it
  capture.deadline = deadline;
  const auto report = store::capture(session.state, {account.uid, account.gid}, found.store, *lock, capture);
  if (!report) return report_failure(console, found, report.error());
  log::info("captured", {{"store", found.store.path()},
                         {"added", report->added},
                         {"changed", report->changed},
                         {"unchanged", report->unchanged},
                         {"bytes", report->bytes},
                         {"took", took_since(start)}});
  for (const auto& skipped : report->skipped) {
    log::debug("not captured", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
  for (const auto& path : report->left_out) log::debug("left out for want of time", {{"path", path}});
  return report_capture(console, found, *report, store::inspect(found.store.path(), unix_now()));
}

}  // namespace

int setup_command(const options::Setup& options, const options::Environment& environment,
                  const supervise::Inherited& inherited) {
  const Console console(environment.has("NO_COLOR") || environment.get("TERM") == "dumb");
  const bool default_shell = options.command.empty();
  const auto account = workcopy::choose_account(options.user, environment.get("HOME"));
  if (!account) return refuse(console, account.error());
  if (default_shell && !has_terminal()) {
    return refuse(console, make_error(ErrorKind::usage, "setup needs a terminal to log in on",
                                      "add -it: docker run -it …, or give a command behind '--'"));
  }

  // 1. The store, before anybody takes the trouble to log in.
  const auto found = open_setup_store(options, environment, *account, console);
  if (!found) return refuse(console, found.error());

  // 2. Its state, where the session's CLI looks for it.
  auto session = open_session(options, environment, *found, *account, console);
  if (!session) return refuse(console, session.error());
  if (found->read_only && !default_shell) {
    console.warning(fmt::format("{} is read-only: this session works on a copy and nothing will be captured.",
                                found->store.path()));
  }
  greet(console, *found, store::inspect(found->store.path(), unix_now()), default_shell);

  // 3. The shell or CLI on the terminal.
  workcopy::give_standard_streams(*account);
  boost::asio::io_context io(1);
  supervise::Options supervision = options.supervision;
  supervision.stop_signals = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  const auto outcome = supervise::supervise(io, inherited, supervision,
                                            session_command(options, environment, *account, *session));
  if (!outcome) {
    log::failure(log::Level::error, outcome.error());
  }

  // 4. Everything has stopped: capture and tell.
  int status = kExitOk;
  if (!found->read_only) {
    const SteadyTime deadline = outcome ? outcome->deadline : SteadyTime::max();
    status = capture_session(options, *found, *account, *session, deadline, console);
  }
  if (session->copy) {
    if (const auto wiped = session->copy->wipe(); !wiped) log::failure(log::Level::warn, wiped.error());
  }

  // 5. The command's own status, unless it was the greeting shell, which ends with that of whatever was typed
  //    last; ours where the command succeeded and its login could not be kept.
  if (!outcome) return kExitSystem;
  const bool own_end = default_shell && outcome->stop_signal == 0 && outcome->exited;
  return outcome->exit_status != 0 && !own_end ? outcome->exit_status : status;
}

}  // namespace claude_init::commands
