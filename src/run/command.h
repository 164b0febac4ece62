#pragma once

#include <string>
#include <vector>

#include "options/environment.h"
#include "supervise/spawn.h"
#include "user/account.h"
#include "user/privileges.h"
#include "workcopy/workcopy.h"

namespace claude_init::run {

/// Whether the account's own home directory may get links to the working copy.
enum class LinkHome { no, yes };

/// HOME: the account's own home directory where it can write to it, linked or not; else one in the working
/// copy, in which ~/.claude leads there. That too where another ~/.claude than the copy is in the way of the
/// link, and the settings name something by it that only the copy has.
[[nodiscard]] std::string choose_home(workcopy::WorkingCopy& copy, const user::Account& account,
                                      LinkHome link);

/// Warns, once a kind, of what the settings in a filled copy name and what will not work: files that are not
/// there (a hook that is not found stops nothing), and programs in a copy in which none can be run.
/// `has_programs`: the state has files with an x bit.
void check_what_settings_name(const workcopy::WorkingCopy& copy, const user::Account& account,
                              const std::string& home, bool has_programs);

/// `argv`, as the account and in its environment, with the working copy as the CLI's configuration directory.
[[nodiscard]] supervise::Command command_in(const workcopy::WorkingCopy& copy, const user::Account& account,
                                            const std::string& home, options::Environment environment,
                                            std::vector<std::string> argv,
                                            user::NewPrivileges new_privileges);

}  // namespace claude_init::run
