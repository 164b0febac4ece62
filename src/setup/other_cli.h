#pragma once

#include "options/environment.h"
#include "setup/store.h"
#include "supervise/supervisor.h"
#include "ui/console.h"
#include "user/account.h"

namespace claude_init::setup {

/// Warns if the CLI here and the one with which the store's keeper renews differ in what a renewal needs. Asks
/// the CLI here for its version, as `account`, if there is a keeper to compare it with.
void warn_of_other_cli(const supervise::Loop& loop, const FoundStore& found,
                       const options::Environment& environment, const user::Account& account,
                       const ui::Console& console);

}  // namespace claude_init::setup
