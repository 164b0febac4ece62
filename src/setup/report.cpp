#include "setup/report.h"

#include <fmt/format.h>

#include "access/capture_report.h"
#include "base/text.h"
#include "health/health.h"
#include "options/store_path.h"
#include "store/inspect.h"
#include "ui/exit_status.h"
#include "ui/remedies.h"

namespace claude_init::setup {
namespace {

std::string whose(const store::Inspection& inspection) {
  std::string name = inspection.email;
  if (name.empty() && inspection.login) name = inspection.login->account_uuid;
  if (name.empty()) name = "an account without a name in it";
  const std::string subscription = inspection.login ? inspection.login->subscription : "";
  return subscription.empty() ? printable(name)
                              : fmt::format("{} ({})", printable(name), printable(subscription));
}

std::string deadline(UnixMs time, UnixMs now) {
  return time > now ? fmt::format("until {}, {} from now", format_utc(time), format_duration(time - now))
                    : fmt::format("ended {}, {} ago", format_utc(time), format_duration(now - time));
}

void print_deadlines(const ui::Console& console, const login::Login& login) {
  const UnixMs now = unix_now();
  console.detail("access", deadline(login.expires_at, now));
  if (login.refresh_expires_at) {
    console.detail("login", deadline(*login.refresh_expires_at, now));
  } else if (login.has_refresh_token) {
    console.detail("login", "renewable (Claude Code has not recorded until when)");
  } else {
    console.detail("login", "cannot be renewed: it has no refresh token");
  }
}

/// A container that renews the login: by the store's owner, since it needs no other rights.
std::string keeper_command(const FoundStore& store) {
  const fs::Identity owner = store.store.owner();
  const std::string key =
      store.seal_key.empty()
          ? ""
          : fmt::format(" -v KEY_FILE:{0}:ro -e CLAUDE_INIT_SEAL_KEY={0}", shell_quote(store.seal_key));
  return fmt::format(
      "{} run --detach --restart unless-stopped --user {}:{} {}{} --entrypoint claude-init claude-runtime "
      "keep",
      ui::engine_command(), owner.uid, owner.gid, options::mounted(store.host_side, store.store.path(), ""),
      key);
}

void print_next(const ui::Console& console, const FoundStore& store) {
  if (store.deployed && !store.in_container)
    return;  // CLAUDE_INIT_LOGIN_COMMAND's author says how to go on, too
  console.blank();
  if (store.deployed) {
    console.text("Running containers take it over; restart nothing.");
  } else if (store.in_container) {
    console.text("Keep it alive, or it works until the access token expires:");
    console.command(keeper_command(store));
    console.text("Use it, in any number of containers:");
    console.command(fmt::format("{} run --rm {} claude-runtime --print hello", ui::engine_command(),
                                options::mounted(store.host_side, store.store.path(), ":ro")));
    console.text(store.seal_key.empty() ? "(Use the directory that you gave to -v.)"
                                        : "(Use the directory and the key that you gave to -v.)");
  } else {
    console.text("Use it:");
    console.command(fmt::format("claude-init run --store {}{} -- claude --print hello",
                                shell_quote(store.store.path()),
                                store.seal_key.empty() ? "" : " --seal-key " + shell_quote(store.seal_key)));
  }
}

/// There is no usable login in the session, nor did the store have a better one.
int print_no_login(const ui::Console& console, const FoundStore& store, const login::Verdict& verdict) {
  const std::string& path = store.store.path();
  const int status = exit_status_of(verdict.source_state);
  const std::string_view name = name_of_exit_status(status);
  switch (verdict.source_state) {
    case login::State::missing:
      console.bad(fmt::format("Not logged in: there is no login to save, and {} has {}.", path,
                              verdict.store_state == login::State::missing
                                  ? "none either"
                                  : fmt::format("one that is {}", login::name_of(verdict.store_state))),
                  name);
      console.remedy("start setup again: claude, /login, /exit, then exit");
      break;
    case login::State::empty:
      console.bad("Login not saved: the CLI's .credentials.json is empty.", name);
      console.text(fmt::format("Either {}.", health::kWhyEmpty));
      console.remedy("start setup again and complete the login");
      break;
    case login::State::malformed:
      console.bad("Login not saved: the CLI's .credentials.json is incomplete or damaged.", name);
      console.remedy("start setup again and log in");
      break;
    case login::State::unreadable:
      console.bad("Login not saved: the CLI's .credentials.json cannot be read.", name);
      console.text(fmt::format("{}. If `claude` was started with sudo, log in again without.",
                               printable(verdict.reason)));
      break;
    default:
      console.bad(fmt::format("Login not saved: it is {}.", login::name_of(verdict.source_state)), name);
      console.remedy("start setup again and log in with /login");
  }
  return status;
}

/// The store's login was better than the session's, and stays.
int print_kept(const ui::Console& console, const FoundStore& store, const login::Verdict& verdict) {
  console.warning(fmt::format("The login in {} was kept: {}.", store.store.path(), verdict.reason));
  if (verdict.store_state == login::State::unreadable) {
    console.text(fmt::format("{}; then run setup again.", access::kHowToMakeRoom));
  } else if (verdict.source_state == login::State::missing) {
    console.text("If you logged out, the server has ended that login: run setup again and log in.");
  } else if (exit_status_of(verdict.source_state) != kExitOk) {
    console.text("If that one does not work either: run setup again and log in with /login.");
  }
  return exit_status_of(verdict);
}

}  // namespace

void greet(const ui::Console& console, const FoundStore& store, const user::Account& account,
           const store::Inspection& before) {
  console.title("claude-init setup");
  console.detail("store", store.read_only ? store.store.path() + " (read-only: nothing will be captured)"
                                          : store.store.path());
  if (before.login && (before.state == login::State::usable || before.state == login::State::renewable)) {
    console.detail("has", fmt::format("the login of {}", whose(before)));
    print_deadlines(console, *before.login);
  } else if (before.state == login::State::missing) {
    console.detail("has", "no login yet");
  } else {
    console.detail("has", fmt::format("a login that is {}", login::name_of(before.state)));
  }
  console.blank();
  const bool lives = before.state == login::State::usable || before.state == login::State::renewable;
  console.text(lives ? "1. start the CLI (to log in anew, or with another login: /login):"
                     : "1. start the CLI, which asks you to log in (if it does not: /login):");
  // Skipping permissions is for containers, and the CLI does not let root do it.
  console.command(store.in_container && account.uid != 0 ? "claude --dangerously-skip-permissions"
                                                         : "claude");
  console.text("2. leave the CLI with /exit, then save and leave this shell:");
  console.command("exit");
  console.blank();
}

int report_capture(const ui::Console& console, const FoundStore& store, const sync::CaptureReport& report,
                   bool login_is_new) {
  const store::Inspection after = store::inspect(store.store.path(), unix_now(), store.store.options());
  const login::Verdict& verdict = report.login;
  int status = kExitOk;
  console.blank();
  switch (verdict.choice) {
    case login::Choice::take:
    case login::Choice::same:
      if (verdict.account_changed) console.warning("This login is of another account than the one before.");
      console.good(fmt::format("{} login of {} in {}", login_is_new ? "Saved the" : "Nothing new about the",
                               whose(after), store.store.path()));
      break;
    case login::Choice::keep_store:
      status = print_kept(console, store, verdict);
      break;
    case login::Choice::nothing:
      status = print_no_login(console, store, verdict);
      break;
  }
  const bool has_login = verdict.choice == login::Choice::take || verdict.choice == login::Choice::same;
  if (has_login && after.login) print_deadlines(console, *after.login);
  const int files = access::report_files(console, report);
  if (status == kExitOk) status = files;
  if (report.settings_kept) {
    console.warning("The CLI's .claude.json is damaged; the store's was kept.");
  }
  if (has_login) print_next(console, store);
  return status;
}

int report_failure(const ui::Console& console, const FoundStore& store, const Error& error) {
  console.blank();
  const int status = exit_status_of(error);
  console.bad(fmt::format("Not everything was saved: {}", error.message()), name_of_exit_status(status));
  console.remedy(error.remedy);
  console.text(
      fmt::format("Each file in {} is whole: as it was before, or as it is now.", store.store.path()));
  return status;
}

}  // namespace claude_init::setup
