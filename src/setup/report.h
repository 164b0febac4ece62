#pragma once

#include "base/time.h"
#include "setup/store.h"
#include "store/inspect.h"
#include "supervise/supervisor.h"
#include "sync/capture.h"
#include "ui/console.h"
#include "user/account.h"

/// What a setup session says to the person in front of it, and the exit status that says the same.
namespace claude_init::setup {

/// Before an interactive shell: which store, what it holds, how to log in and how to end.
void greet(const ui::Console& console, const FoundStore& store, const user::Account& account,
           const store::Inspection& before);

/// After the capture. `login_is_new`: the session's login was saved, now or by a checkpoint. Returns 0, or
/// the status of ours that says why no login was kept.
int report_capture(const ui::Console& console, const FoundStore& store, const sync::CaptureReport& report,
                   bool login_is_new);

/// The capture failed: what that means for what is in the store, and what to do.
int report_failure(const ui::Console& console, const FoundStore& store, const Error& error);

}  // namespace claude_init::setup
