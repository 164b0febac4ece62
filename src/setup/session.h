#pragma once

#include <optional>

#include "base/deadline.h"
#include "base/result.h"
#include "base/secret.h"
#include "lock/lock.h"
#include "options/environment.h"
#include "options/options.h"
#include "setup/store.h"
#include "store/layout.h"
#include "sync/baseline.h"
#include "sync/capture.h"
#include "ui/console.h"
#include "user/account.h"
#include "workcopy/workcopy.h"

namespace claude_init::setup {

/// Where the CLI of a setup session keeps its state.
struct LoginSession {
  store::StatePaths state;
  std::optional<workcopy::WorkingCopy> copy;  // where it is not in the account's home directory
  std::optional<lock::Lock> lock;             // the first session on this store has it
  Secret given_access_token;                  // of the login that it starts with
  sync::Baseline baseline;                    // what of the store it has: proof for deletions
  bool login_saved = false;                   // one that was made or renewed in it
};

/// Saves what a killed session left behind, finds a place for this one and puts the store's state there. The
/// place is the home directory of a container's account; on a host, where that is a person's own, where the
/// store is mounted on it and where it cannot be written, it is a working copy.
[[nodiscard]] Result<LoginSession> open_session(const options::Setup& options,
                                                const options::Environment& environment,
                                                const FoundStore& found, const user::Account& account,
                                                const ui::Console& console);

/// Wipes the session's copy, if it has one: nothing in it is needed any more.
void wipe_copy(const FoundStore& found, LoginSession& session, const Deadline& deadline = {});

/// Captures the session's state, or its login only, waiting `wait` at most, and not beyond the deadline, for
/// another capture to end.
[[nodiscard]] Result<sync::CaptureReport> save_session(const FoundStore& found, const user::Account& account,
                                                       const LoginSession& session,
                                                       const sync::CaptureOptions& capture,
                                                       Milliseconds wait);

}  // namespace claude_init::setup
