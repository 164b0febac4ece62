#pragma once

#include <string>
#include <vector>

#include "options/environment.h"
#include "supervise/spawn.h"
#include "workcopy/account.h"
#include "workcopy/privileges.h"
#include "workcopy/workcopy.h"

namespace claude_init::commands {

/// `argv`, as the account and in its environment, with the working copy as the CLI's configuration directory.
[[nodiscard]] supervise::Command command_in(const workcopy::WorkingCopy& copy,
                                            const workcopy::Account& account,
                                            options::Environment environment, std::vector<std::string> argv,
                                            workcopy::NewPrivileges new_privileges);

}  // namespace claude_init::commands
