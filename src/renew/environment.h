#pragma once

#include <string>
#include <vector>

namespace claude_init::renew {

/// What a renewing command gets of `ours` (NAME=VALUE), before HOME and CLAUDE_CONFIG_DIR: the way to it and
/// to the server, nothing that hides the login, and what keeps the CLI from doing anything else; then `own`,
/// which win.
[[nodiscard]] std::vector<std::string> environment_for_renewal(const std::vector<std::string>& ours,
                                                               const std::vector<std::string>& own);

}  // namespace claude_init::renew
