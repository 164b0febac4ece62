#pragma once

#include <variant>

#include "health/health.h"
#include "options/environment.h"
#include "options/options.h"
#include "store/inspect.h"
#include "supervise/signals.h"
#include "user/account.h"

namespace claude_init::live {

/// `health --live`: whether the server answers the real CLI with this login, which is a usable one. Runs it
/// once, as the workload's user, in a working copy that has the login only and is wiped afterwards, with a
/// time limit; or tells of an earlier run (cache.h). A stop signal ends it: then that signal.
[[nodiscard]] std::variant<health::Live, int> try_login(const options::Health& options,
                                                        const options::Environment& environment,
                                                        const user::Account& account,
                                                        const store::Inspection& inspection,
                                                        const supervise::Inherited& inherited);

}  // namespace claude_init::live
