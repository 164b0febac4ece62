#include "run/login.h"

#include <utility>

#include "access/health_context.h"
#include "access/login_wait.h"
#include "access/renewal.h"
#include "access/store_access.h"
#include "health/health.h"
#include "log/log.h"
#include "renew/renewal.h"
#include "store/inspect.h"
#include "sync/prepare.h"
#include "ui/exit_status.h"
#include "ui/refusal.h"

namespace claude_init::run {
namespace {

constexpr Milliseconds kRenewalWait{3000};  // for a renewal that is under way

/// With --refresh-token=copy the CLI renews in its copy, which spends the store's token: nobody else may
/// renew meanwhile, and what it renews goes back. Nothing where the store cannot be written; then it is said
/// what that means. Error: busy.
Result<std::optional<lock::Lock>> take_right_to_renew(const store::Inspection& inspection,
                                                      const options::Storing& storing,
                                                      const options::Environment& environment) {
  std::optional<lock::Lock> none;
  auto store = access::open_to_write(inspection.path, storing, environment);
  if (!store) return none;  // no login, so nothing to renew: that has been logged
  if (const auto prepared = sync::prepare(*store, 0); !prepared) {
    log::failure(log::Level::warn, prepared.error());
    log::warn("a login that this run renews is lost with its copy, and then the store's is spent");
    return none;
  }
  auto lock = renew::Renewal::take_right(*store, "run with the refresh token", kRenewalWait);
  if (!lock) return lock.error_with("only one session at a time may renew the login");
  return std::optional(std::move(*lock));
}

}  // namespace

/// 1. Renewed by us where we may, if it has expired.
/// 2. With --wait-login: until there is a login that works.
/// 3. The right to renew, where the command itself can renew.
int obtain_login(const supervise::Loop& loop, const options::Run& options,
                 const options::Environment& environment, const std::string& path, LoginSource& source) {
  const auto inspect = [&] { return store::inspect(path, unix_now(), options.storing.options); };
  const bool handed_on = options.refresh_token == store::RefreshToken::copy;
  const auto can_be_used = [&](const store::Inspection& seen) {
    return health::can_be_used(seen.state, handed_on);
  };
  store::Inspection& seen = source.inspection;
  auto& renewer = source.renewer;
  const auto renew_where_we_may = [&](const store::Inspection& now) {
    if (handed_on || options.renewal.never) return;
    if (!renewer && why_not_writable(now).empty()) {
      renewer.emplace(
          loop, access::renewer_options(options.renewal, path, environment, "run", options.storing.options));
    }
    // One that can be used is looked at again when the command runs.
    if (renewer && !can_be_used(now)) renewer->check_now();
  };
  // 1.
  seen = inspect();
  renew_where_we_may(seen);
  if (renewer && seen.state == login::State::renewable) {
    const int stopped = access::await_renewal(loop, path, *renewer);
    if (stopped != 0) return 128 + stopped;
    seen = inspect();
  }
  // 2.
  if (options.wait_login && !can_be_used(seen) &&
      access::health_context(seen, environment).shadowing.empty()) {
    const int stopped =
        access::await_login(loop,
                            {path, *options.wait_login, can_be_used, renew_where_we_may,
                             [&renewer] { return renewer ? &*renewer : nullptr; }, options.storing.options},
                            environment);
    if (stopped != 0) return 128 + stopped;
    seen = inspect();
  }
  // 3.
  if (!handed_on) return kExitOk;
  auto taken = take_right_to_renew(seen, options.storing, environment);
  if (!taken) return ui::refuse(taken.error());
  source.right_to_renew = std::move(*taken);
  // Its holder before may have renewed.
  seen = inspect();
  return kExitOk;
}

int check_login(const options::Run& options, const options::Environment& environment,
                const store::Inspection& inspection) {
  const health::Context context = access::health_context(inspection, environment);
  const health::Explanation words = health::explain(inspection, context);
  const bool handed_on = options.refresh_token == store::RefreshToken::copy;
  const bool usable = health::can_be_used(inspection.state, handed_on);
  if (usable || !context.shadowing.empty() || options.allow_no_login) {
    for (const auto& note : words.notes) log::warn(note);
    if (!usable) log::warn("no stored login is used: " + words.headline);
    return kExitOk;
  }
  const int of_state = exit_status_of(inspection.state);
  // Renewable: alive, but not for a command that gets no refresh token.
  const int status = of_state == kExitOk ? kExitLoginExpired : of_state;
  access::print_explanation(log::Level::error, "", words, environment, status);
  return status;
}

}  // namespace claude_init::run
