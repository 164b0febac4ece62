#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>

#include "access/health_context.h"
#include "access/renewal.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "access/wait.h"
#include "base/text.h"
#include "commands/commands.h"
#include "health/health.h"
#include "log/log.h"
#include "options/store_path.h"
#include "renew/renewal.h"
#include "renew/renewer.h"
#include "store/inspect.h"
#include "store/sealed.h"
#include "store/store.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/refusal.h"

namespace claude_init::commands {
namespace {

using Kind = renew::Outcome::Kind;

constexpr Milliseconds kSettling{5000};  // for a capture that is under way
// Two commands one after another, where the second finds out what the first one did.
constexpr Milliseconds kPatience = 2 * (renew::Renewer::kTimeLimit + Milliseconds(10'000));

std::string valid_until(const store::Inspection& seen) {
  return fmt::format("the access token is valid until {}", format_utc(seen.login->expires_at));
}

int status_of(const renew::Outcome& outcome) {
  switch (outcome.kind) {
    case Kind::renewed:
    case Kind::not_due:
      return kExitOk;
    case Kind::busy:
      return kExitStoreBusy;
    case Kind::refused:
      return kExitNotRenewedHere;
    case Kind::rejected:
      return outcome.cause == renew::kBurnt ? kExitLoginBurnt : kExitLoginRejected;
    case Kind::failed:
      break;
  }
  const bool asked =
      outcome.cause == renew::kNoAnswer || outcome.cause == "timeout" || outcome.cause == "killed";
  return asked ? kExitNoNewToken : kExitNotAsked;
}

std::string headline(const renew::Outcome& outcome) {
  switch (outcome.kind) {
    case Kind::rejected:
      return "dead: " + outcome.reason;
    case Kind::busy:
      return "not renewed: another process is renewing: " + outcome.reason;
    default:
      return "not renewed: " + outcome.reason;
  }
}

/// One object on one line: what came of it, why not, and until when the access token is valid.
std::string as_json(std::string_view outcome, std::string_view reason, const store::Inspection& seen) {
  using nlohmann::ordered_json;
  ordered_json out{{"store", seen.path}, {"outcome", outcome}, {"state", login::name_of(seen.state)}};
  if (!reason.empty()) out["reason"] = reason;
  if (seen.login && seen.login->has_access_token)
    out["access_expires_at"] = format_iso8601(seen.login->expires_at);
  return out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::renewed:
      return "renewed";
    case Kind::not_due:
      return "renewed_elsewhere";
    case Kind::busy:
      return "busy";
    case Kind::refused:
      return "refused";
    case Kind::rejected:
      return "rejected";
    case Kind::failed:
      break;
  }
  return "failed";
}

int report(const renew::Outcome& outcome, const store::Inspection& seen, options::Format format,
           const options::Environment& environment) {
  const bool good = outcome.kind == Kind::renewed || outcome.kind == Kind::not_due;
  if (format == options::Format::json) {
    const int failed = ui::print(as_json(name_of(outcome.kind), good ? "" : outcome.reason, seen));
    if (good || failed != kExitOk) return failed;
  } else if (good) {
    const std::string how = outcome.kind == Kind::renewed ? "renewed" : "renewed by another process";
    return ui::print(fmt::format("{}; {}\n", how, seen.login ? valid_until(seen) : "the login is gone"));
  }
  const ui::Console console(access::is_plain(environment));
  console.bad(headline(outcome), name_of_exit_status(status_of(outcome)));
  console.remedy(outcome.remedy);
  if (outcome.kind == Kind::rejected) console.remedy(access::health_context(seen, environment).setup_command);
  return status_of(outcome);
}

/// Whether this one can be renewed; else prints why not and gives the status.
std::optional<int> why_none(const store::Inspection& seen, const options::Environment& environment) {
  if (seen.is_shut() && seen.problem.empty()) {
    const auto store = store::Store::open(seen.path);
    return ui::refuse(
        store ? store::needs_key(*store, "its login cannot be renewed without the key") : store.error(),
        kExitNotRenewedHere);
  }
  const bool lives = seen.state == login::State::usable || seen.state == login::State::renewable;
  if (!lives) {
    access::print_explanation(log::Level::error, "",
                              health::explain(seen, access::health_context(seen, environment)), environment,
                              exit_status_of(seen.state));
    return exit_status_of(seen.state);
  }
  const ui::Console console(access::is_plain(environment));
  if (!seen.login->has_refresh_token) {
    return ui::refuse(console,
                      make_error(ErrorKind::usage, printable(seen.path) + " has no refresh token",
                                 "renew it where people log in; this copy gets the new token from there"),
                      kExitNotRenewedHere);
  }
  if (const std::string problem = store::why_not_writable(seen); !problem.empty()) {
    return ui::refuse(
        console, make_error(ErrorKind::read_only, problem,
                            fmt::format("mount it so that it can be written, and run as its owner, uid {}",
                                        seen.owner.uid)));
  }
  return std::nullopt;
}

}  // namespace

/// 1. A login that can be renewed, and is due or is to be renewed all the same.
/// 2. One renewal, ours or another process's.
/// 3. What came of it; with --json on standard output too.
int renew_command(const options::Renew& options, const options::Environment& environment,
                  const supervise::Inherited& inherited) {
  // 1.
  const std::string path = options::choose_store(options.store, environment.get("HOME"), environment);
  store::StoreOptions opening;
  if (const auto taken = access::take_fitting_seal_key(options.sealing, path, opening); !taken)
    return ui::refuse(taken.error());
  if (const auto store = store::Store::open(path, opening)) {
    if (const auto settled = renew::settle(*store, "renew", kSettling); !settled)
      return ui::refuse(settled.error());
  }
  const store::Inspection seen = store::inspect(path, unix_now(), opening);
  const options::Format format = options.output.chosen();
  if (const auto status = why_none(seen, environment)) {
    const int failed =
        format == options::Format::json ? ui::print(as_json("not_renewable", "", seen)) : kExitOk;
    return failed != kExitOk ? failed : *status;
  }
  if (!options.force && seen.login->expires_at - unix_now() > options.renewal.before.count()) {
    if (format == options::Format::json) return ui::print(as_json("not_due", "", seen));
    return ui::print(
        fmt::format("not due; {}. --force renews it now, which spends its refresh token for the next one\n",
                    valid_until(seen)));
  }
  // 2.
  boost::asio::io_context io(1);
  loop::Reaper reaper;
  const supervise::Loop loop{io, reaper, inherited};
  renew::Renewer::Options how = access::renewer_options(options.renewal, path, environment, "renew", opening);
  how.on_outcome = [](const renew::Outcome&) {};  // reported below
  renew::Renewer renewer(loop, std::move(how));
  access::Wait wait;
  wait.limit = kPatience;
  wait.renewer = [&renewer] { return &renewer; };
  wait.over = [&renewer] {
    return renewer.last() && renewer.last()->kind != Kind::busy && !renewer.is_renewing();
  };
  renewer.renew_now();
  const int stopped = access::wait_until_over(loop, wait);
  // 3.
  if (!renewer.last()) return stopped != 0 ? 128 + stopped : kExitStoreBusy;
  const int status = report(*renewer.last(), store::inspect(path, unix_now(), opening), format, environment);
  return stopped != 0 && status != kExitOk ? 128 + stopped : status;
}

}  // namespace claude_init::commands
