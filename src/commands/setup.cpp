#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <utility>

#include "access/health_context.h"
#include "access/renewal.h"
#include "access/store_access.h"
#include "access/store_lock.h"
#include "commands/commands.h"
#include "follow/coherence.h"
#include "log/log.h"
#include "run/command.h"
#include "setup/other_cli.h"
#include "setup/report.h"
#include "setup/session.h"
#include "setup/store.h"
#include "setup/wait.h"
#include "store/inspect.h"
#include "supervise/terminal.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/progress_line.h"
#include "ui/refusal.h"
#include "ui/remedies.h"
#include "user/account.h"
#include "user/privileges.h"

namespace claude_init::commands {
namespace {

bool has_terminal() {
  return ::isatty(STDIN_FILENO) == 1 || supervise::Terminal::open().present();
}

/// What the person has deleted is deleted in the store, at the end.
sync::CaptureOptions capture_options(const options::Setup& options, setup::LoginSession& session) {
  sync::CaptureOptions capture;
  capture.delete_missing = sync::Deletions::proven;
  capture.baseline = &session.baseline;
  capture.reason = "setup";
  capture.filter = options.filter;
  capture.limits = options.limits;
  // Whoever made a link in it could have read in this container what it leads to.
  capture.follow_links_out = true;
  capture.keep_generations = options.storing.keep_generations;
  capture.rules.allow_account_change = true;  // a person sits in front of it
  capture.rules.by_person = true;
  capture.rules.given_access_token = session.given_access_token.reveal();
  return capture;
}

supervise::Command session_command(const options::Setup& options, const options::Environment& environment,
                                   const user::Account& account, setup::LoginSession& session) {
  options::Environment child = environment;
  child.set("HOME",
            session.copy ? run::choose_home(*session.copy, account, run::LinkHome::no) : account.home);
  child.set("USER", account.name);
  child.set("LOGNAME", account.name);
  child.set("SHELL", account.shell);
  if (session.copy) child.set("CLAUDE_CONFIG_DIR", session.state.config_dir);
  supervise::Command command;
  // Without a terminal there is nothing to start: --until-login waits for a login from elsewhere.
  command.argv = options.command;
  if (command.argv.empty() && has_terminal()) command.argv = {account.shell};
  command.env = child.variables();
  // In an interactive container a person may want sudo.
  command.before_exec = user::drop_to(account, user::NewPrivileges::allow);
  return command;
}

/// What to do now, to the person in front of the shell, or to whoever is to log in from elsewhere.
void greet_session(const options::Setup& options, const options::Environment& environment,
                   const setup::FoundStore& found, const user::Account& account,
                   const store::Inspection& before) {
  if (!options.command.empty()) return;
  const ui::Console console(access::is_plain(environment));
  const bool shell = has_terminal();
  if (shell) setup::greet(console, found, account, before);
  if (options.until_login)
    setup::greet_waiting(console, found, account, environment, *options.until_login, shell);
}

follow::Coherence::Options coherent_session(const options::Setup& options, const setup::FoundStore& found,
                                            const user::Account& account, setup::LoginSession& session,
                                            std::optional<renew::Renewer>& renewer,
                                            std::optional<setup::LoginWait>& wait) {
  follow::Coherence::Options coherent;
  if (renewer) coherent.renewed = follow::Coherence::Options::Renewed::here;
  coherent.on_store_change = [&renewer, &wait] {
    if (renewer) renewer->check_now();
    if (wait) wait->check_now();
  };
  coherent.store = found.store.path();
  coherent.how = found.store.options();
  coherent.state = session.state;
  coherent.who = account.identity();
  coherent.filter = options.filter;
  // An open session must not spend the token that others have: only a login that is made in it is its own.
  coherent.refresh_token = store::RefreshToken::withhold;
  coherent.checkpoint = options.checkpoint;
  coherent.captured = true;
  coherent.why_not = "the store is read-only";
  if (found.read_only) return coherent;
  coherent.why_not.clear();
  coherent.save = [&](const follow::Coherence::Save& save) {
    sync::CaptureOptions capture = capture_options(options, session);
    capture.delete_missing = sync::Deletions::none;
    capture.reason = "checkpoint";
    capture.extent = save.extent;
    capture.deadline = save.deadline;
    capture.rules.given_access_token = save.given_access_token;
    return setup::save_session(found, account, session, capture, save.wait);
  };
  return coherent;
}

/// How a session ended, and what was reported of what it has saved.
struct Ended {
  supervise::Outcome outcome;
  int reported = kExitOk;
};

/// 1. Both sides are kept the same from here on, and the store's login is renewed when it is due.
/// 2. One that has expired is renewed before anybody works with it; who waits for a login may have one.
/// 3. The shell or CLI, supervised. `end` is called when everything has ended.
Result<Ended> run_session(const options::Setup& options, const options::Environment& environment,
                          const setup::FoundStore& found, const user::Account& account,
                          setup::LoginSession& session, const supervise::Inherited& inherited,
                          const std::function<int(const Deadline&)>& end) {
  // 1.
  boost::asio::io_context io(1);
  loop::Reaper reaper;
  const supervise::Loop loop{io, reaper, inherited};
  supervise::Options supervision = options.supervision;
  supervision.stop_signals = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  std::optional<renew::Renewer> renewer;
  supervise::Hooks hooks;
  if (!found.read_only && !options.renewal.never) {
    auto how = access::renewer_options(options.renewal, found.store.path(), environment, "setup",
                                       found.store.options());
    how.log_in = [] { return "here: claude, then /login"; };
    renewer.emplace(loop, std::move(how));
    hooks.ending = [&renewer] { renewer->stop(); };
  }
  std::optional<setup::LoginWait> wait;
  if (options.until_login) wait.emplace(io, found.store.path(), *options.until_login);
  follow::Coherence coherence(io, coherent_session(options, found, account, session, renewer, wait));
  coherence.begin();
  coherence.start();
  if (renewer) renewer->check_now();  // from here on the watches see every change
  // 2.
  const auto state = [&] { return store::inspect(found.store.path(), unix_now(), found.store.options()); };
  Ended ended;
  if (renewer && state().state == login::State::renewable) {
    const int stopped = access::await_renewal(loop, found.store.path(), *renewer);
    if (stopped != 0) {
      ended.outcome.exit_status = 128 + stopped;
      ended.outcome.stop_signal = stopped;
      setup::wipe_copy(found, session);  // it was not used yet
      return ended;
    }
    coherence.check_now();
  }
  if (wait && wait->has_login()) {
    ended.reported = wait->exit_status(end({}));
    return ended;
  }
  setup::warn_of_other_cli(loop, found, environment, account, ui::Console(access::is_plain(environment)));
  greet_session(options, environment, found, account, state());
  // 3.
  hooks.save_now = [&] { coherence.save_now(); };
  hooks.collect = [&](const Deadline& deadline) {
    session.login_saved = coherence.login_saved();
    session.given_access_token = Secret(std::string(coherence.given_access_token().reveal()));
    ended.reported = end(deadline);
  };
  const supervise::Command command = session_command(options, environment, account, session);
  const auto outcome = supervise::supervise(loop, supervision, command, hooks);
  if (!outcome) return outcome.error();
  // The signal that --until-login ends it with is not the session's status.
  if (wait && wait->is_over()) return Ended{{}, wait->exit_status(ended.reported)};
  ended.outcome = *outcome;
  if (command.argv.empty()) ended.outcome.exit_status = 128 + outcome->stop_signal;
  return ended;
}

/// Captures, clears the session's copy away if nothing in it is needed any more, and tells. Returns the
/// status of ours.
int end_session(const options::Setup& options, const setup::FoundStore& found, const user::Account& account,
                setup::LoginSession& session, const Deadline& deadline, const ui::Console& console,
                bool plain) {
  const auto say_what_stays = [&] {
    if (session.copy)
      console.text(
          fmt::format("The session's state stays in {}: the next setup saves it.", session.copy->root()));
  };
  if (found.read_only) {
    setup::wipe_copy(found, session, deadline);
    return kExitOk;
  }
  sync::CaptureOptions capture = capture_options(options, session);
  capture.deadline = deadline;
  const auto report = [&] {
    ui::ProgressLine progress("saving", plain);
    capture.progress = progress.callback();
    return setup::save_session(found, account, session, capture, access::kCaptureWait);
  }();
  if (!report) {
    const int status = setup::report_failure(console, found, report.error());
    say_what_stays();
    return status;
  }
  const int status = setup::report_capture(
      console, found, *report, session.login_saved || report->login.choice == login::Choice::take);
  const bool kept_out = report->login.choice == login::Choice::keep_store &&
                        report->login.store_state == login::State::unreadable &&
                        report->login.source_state != login::State::missing;
  if (report->left_out.empty() && !kept_out && !sync::failed_for_now(report->skipped)) {
    setup::wipe_copy(found, session, deadline);
  } else {
    say_what_stays();
  }
  return status;
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
  const bool plain = access::is_plain(environment);
  const ui::Console console(plain);
  const bool default_shell = options.command.empty();
  auto account = user::choose_account(options.user, environment.get("HOME"));
  if (!account) return ui::refuse(console, account.error());
  if (default_shell && !has_terminal() && !options.until_login) {
    return ui::refuse(
        console,
        make_error(ErrorKind::usage, "setup needs a terminal to log in on",
                   fmt::format("add -it: {} run -it …, or give a command behind '--', or wait for "
                               "a login from elsewhere: --until-login 10m (CLAUDE_INIT_UNTIL_LOGIN=10m)",
                               ui::engine_command())));
  }
  // 1.
  const auto found = setup::open_setup_store(options, environment, *account, console);
  if (!found) return ui::refuse(console, found.error());
  user::keep_given_groups(*account, found->store.owner().gid);
  const store::Inspection before = store::inspect(found->store.path(), unix_now(), found->store.options());
  if (const auto why = setup::why_not_replaceable(before, environment))
    return ui::refuse(console, *why, exit_status_of(before.state));
  // 2.
  auto session = setup::open_session(options, environment, *found, *account, console);
  if (!session) return ui::refuse(console, session.error());
  if (found->read_only && !default_shell) {
    console.warning(fmt::format("{} is read-only: this session works on a copy and nothing will be captured.",
                                found->store.path()));
  }
  // A person who logs in should know that the CLI would not use it.
  for (const std::string& note : access::environment_notes(found->store.path(), environment))
    console.warning(note);
  // 3.
  user::give_standard_streams(*account);
  const auto end = [&](const Deadline& deadline) {  // 4.
    return end_session(options, *found, *account, *session, deadline, console, plain);
  };
  const auto ended = run_session(options, environment, *found, *account, *session, inherited, end);
  // 5.
  if (!ended) {
    const int status = ui::refuse(ended.error(), kExitSystem);
    if (ended.error().kind == ErrorKind::interrupted) {
      setup::wipe_copy(*found, *session);  // it was not used yet
    } else {
      end({});
    }
    return status;
  }
  const auto& [outcome, reported] = *ended;
  const bool own_end = default_shell && outcome.stop_signal == 0 && outcome.exited;
  return outcome.exit_status != 0 && !own_end ? outcome.exit_status : reported;
}

}  // namespace claude_init::commands
