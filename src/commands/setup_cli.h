#pragma once

#include "commands/console.h"
#include "commands/setup_store.h"
#include "options/environment.h"
#include "supervise/supervisor.h"
#include "workcopy/account.h"

namespace claude_init::commands {

/// Warns where the CLI that is here and the one that the store's keeper renews with differ in what a renewal
/// needs. Asks the CLI here for its version, as `account`, where there is a keeper to compare it with.
void warn_of_other_cli(const supervise::Loop& loop, const SetupStore& found,
                       const options::Environment& environment, const workcopy::Account& account,
                       const Console& console);

}  // namespace claude_init::commands
