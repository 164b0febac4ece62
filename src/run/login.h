#pragma once

#include <optional>
#include <string>

#include "lock/lock.h"
#include "options/environment.h"
#include "options/options.h"
#include "renew/renewer.h"
#include "store/inspect.h"
#include "store/store.h"
#include "supervise/supervisor.h"

namespace claude_init::run {

/// A run's login before its command starts: its state, the lock that allows renewing it, and its renewer.
struct LoginSource {
  store::Inspection inspection;               // of the store, as it was last looked at
  std::optional<lock::Lock> right_to_renew;   // where the command gets the refresh token
  std::optional<renew::Renewer> renewer;
};

/// Finds, renews or waits for the login of a run, as its options say. 0, or the status to end with; what is
/// wrong has been told then.
[[nodiscard]] int obtain_login(const supervise::Loop& loop, const options::Run& options,
                               const options::Environment& environment, const std::string& path,
                               LoginSource& source);

/// Whether there is a login to run with, or something that stands in for it; 0, or the status to refuse with.
[[nodiscard]] int check_login(const options::Run& options, const options::Environment& environment,
                              const store::Inspection& inspection);

}  // namespace claude_init::run
