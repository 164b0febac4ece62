#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <functional>

#include "commands/coherence.h"
#include "commands/commands.h"
#include "commands/console.h"
#include "commands/progress_line.h"
#include "commands/refusal.h"
#include "commands/renewal.h"
#include "commands/setup_report.h"
#include "commands/setup_session.h"
#include "commands/setup_store.h"
#include "commands/store_access.h"
#include "commands/store_lock.h"
#include "log/log.h"
#include "options/exit_status.h"
#include "supervise/terminal.h"
#include "workcopy/account.h"
#include "workcopy/privileges.h"

namespace claude_init::commands {
namespace {

bool has_terminal() {
  return ::isatty(STDIN_FILENO) == 1 || supervise::Terminal::open().present();
}

/// What the person has deleted is deleted in the store, at the end.
store::CaptureOptions capture_options(const options::Setup& options, Session& session) {
  store::CaptureOptions capture;
  capture.delete_missing = store::Deletions::proven;
  capture.baseline = &session.baseline;
  capture.reason = "setup";
  capture.filter = options.filter;
  capture.limits = options.limits;
  capture.keep_generations = options.storing.keep_generations;
  capture.rules.allow_account_change = true;  // a person sits in front of it
  capture.rules.given_access_token = session.given_access_token.reveal();
  return capture;
}

supervise::Command session_command(const options::Setup& options, const options::Environment& environment,
                                   const workcopy::Account& account, const Session& session) {
  options::Environment child = environment;
  // "/" is what an account without a passwd entry gets: no home.
  child.set("HOME", session.copy && account.home == "/" ? session.copy->root() : account.home);
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

Coherence::Session coherent_session(const options::Setup& options, const SetupStore& found,
                                    const workcopy::Account& account, Session& session,
                                    std::optional<renew::Renewer>& renewer) {
  Coherence::Session coherent;
  if (renewer) {
    coherent.renewed = Coherence::Session::Renewed::here;
    coherent.on_store_change = [&renewer] { renewer->look(); };
  }
  coherent.store = found.store.path();
  coherent.state = session.state;
  coherent.who = {account.uid, account.gid};
  coherent.filter = options.filter;
  // An open session must not spend the token that others have: only a login that is made in it is its own.
  coherent.refresh_token = store::RefreshToken::withhold;
  coherent.checkpoint = options.checkpoint;
  coherent.captured = true;
  coherent.why_not = "the store is read-only";
  if (found.read_only) return coherent;
  coherent.why_not.clear();
  coherent.save = [&](const Coherence::Save& save) {
    store::CaptureOptions capture = capture_options(options, session);
    capture.delete_missing = store::Deletions::none;
    capture.reason = "checkpoint";
    capture.extent = save.extent;
    capture.deadline = save.deadline;
    capture.rules.given_access_token = save.given_access_token;
    return save_session(found, account, session, capture, save.wait);
  };
  return coherent;
}

/// 1. Both sides are kept the same from here on, and the store's login is renewed when it is due.
/// 2. One that has expired is renewed before anybody works with it.
/// 3. The shell or CLI, supervised. `end` is called when everything has ended.
Result<supervise::Outcome> run_session(const options::Setup& options, const options::Environment& environment,
                                       const SetupStore& found, const workcopy::Account& account,
                                       Session& session, const supervise::Inherited& inherited,
                                       const std::function<void(const Deadline&)>& end) {
  // 1.
  boost::asio::io_context io(1);
  supervise::Reaper reaper;
  const supervise::Loop loop{io, reaper, inherited};
  supervise::Options supervision = options.supervision;
  supervision.stop_signals = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  std::optional<renew::Renewer> renewer;
  supervise::Hooks hooks;
  if (!found.read_only && !options.renewal.never) {
    renewer.emplace(loop, renewer_options(options.renewal, found.store.path(), environment, "setup",
                                          options.storing.options));
    hooks.ending = [&renewer] { renewer->stop(); };
    renewer->look();
  }
  Coherence coherence(io, coherent_session(options, found, account, session, renewer));
  if (!options.publish.empty()) {
    auto published = open_published(options.publish, found.store.path());
    if (!published) return published.error();
    coherence.publish_into(std::move(*published));
  }
  if (const auto started = coherence.start(); !started) return started.error();
  // 2.
  const auto state = [&] { return store::inspect(found.store.path(), unix_now()); };
  if (renewer && state().state == login::State::renewable) {
    if (const int stopped = await_renewal(loop, supervision.stop_signals, found.store.path(), *renewer);
        stopped != 0) {
      supervise::Outcome outcome;
      outcome.exit_status = 128 + stopped;
      outcome.stop_signal = stopped;
      end({});
      return outcome;
    }
    coherence.look();
  }
  greet(Console(is_plain(environment)), found, state(), options.command.empty());
  // 3.
  hooks.save_now = [&] { coherence.save_now(); };
  hooks.collect = [&](const Deadline& deadline) {
    session.login_saved = coherence.login_saved();
    session.given_access_token = Secret(std::string(coherence.given_access_token().reveal()));
    end(deadline);
  };
  return supervise::supervise(loop, supervision, session_command(options, environment, account, session),
                              hooks);
}

/// Captures, clears the session's copy away if nothing in it is needed any more, and tells. Returns the
/// status of ours.
int end_session(const options::Setup& options, const SetupStore& found, const workcopy::Account& account,
                Session& session, const Deadline& deadline, const Console& console, bool plain) {
  const auto wipe = [&] {
    if (!session.copy) return;
    if (const auto wiped = session.copy->wipe(); !wiped) log::failure(log::Level::warn, wiped.error());
  };
  const auto say_what_stays = [&] {
    if (session.copy)
      console.text(
          fmt::format("The session's state stays in {}: the next setup saves it.", session.copy->root()));
  };
  if (found.read_only) {
    wipe();
    return kExitOk;
  }
  store::CaptureOptions capture = capture_options(options, session);
  capture.deadline = deadline;
  const auto report = [&] {
    ProgressLine progress("saving", plain);
    capture.progress = progress.callback();
    return save_session(found, account, session, capture, kCaptureWait);
  }();
  if (!report) {
    const int status = report_failure(console, found, report.error());
    say_what_stays();
    return status;
  }
  const int status = report_capture(console, found, *report,
                                    session.login_saved || report->login.choice == login::Choice::take);
  if (report->left_out.empty()) {
    wipe();
  } else {
    say_what_stays();
  }
  return status;
}

/// What the capture at the end has put into the store.
void publish_at_end(const options::Setup& options, const SetupStore& found, const Deadline& deadline) {
  const auto into = open_published(options.publish, found.store.path());
  follow::Publication publication;
  publication.filter = options.filter;
  publication.deadline = deadline;
  const auto published = into ? follow::publish(found.store.path(), *into, publication) : into.error();
  if (!published) log::failure(log::Level::warn, published.error());
}

}  // namespace

/// 1. The store, before anybody takes the trouble to log in.
/// 2. Its state, where the session's CLI looks for it.
/// 3. The shell or CLI on the terminal.
/// 4. Everything has stopped: capture and tell. Still supervised, as stop signals may come meanwhile.
/// 5. The command's own status, unless it was the greeting shell, which ends with that of whatever was typed
///    last; ours where the command succeeded and its login could not be kept.
int setup_command(const options::Setup& options, const options::Environment& environment,
                  const supervise::Inherited& inherited) {
  const bool plain = is_plain(environment);
  const Console console(plain);
  const bool default_shell = options.command.empty();
  const auto account = workcopy::choose_account(options.user, environment.get("HOME"));
  if (!account) return refuse(console, account.error());
  if (default_shell && !has_terminal()) {
    return refuse(console, make_error(ErrorKind::usage, "setup needs a terminal to log in on",
                                      "add -it: docker run -it …, or give a command behind '--'"));
  }
  // 1.
  const auto found = open_setup_store(options, environment, *account, console);
  if (!found) return refuse(console, found.error());
  // 2.
  auto session = open_session(options, environment, *found, *account, console);
  if (!session) return refuse(console, session.error());
  if (found->read_only && !default_shell) {
    console.warning(fmt::format("{} is read-only: this session works on a copy and nothing will be captured.",
                                found->store.path()));
  }
  // 3.
  workcopy::give_standard_streams(*account);
  int status = kExitOk;
  const auto end = [&](const Deadline& deadline) {  // 4.
    status = end_session(options, *found, *account, *session, deadline, console, plain);
    if (!options.publish.empty()) publish_at_end(options, *found, deadline);
  };
  const auto outcome = run_session(options, environment, *found, *account, *session, inherited, end);
  // 5.
  if (!outcome) {
    log::failure(log::Level::error, outcome.error());
    end({});
    return kExitSystem;
  }
  const bool own_end = default_shell && outcome->stop_signal == 0 && outcome->exited;
  return outcome->exit_status != 0 && !own_end ? outcome->exit_status : status;
}

}  // namespace claude_init::commands
