#pragma once

#include <string>
#include <string_view>

#include "options/environment.h"

namespace claude_init::commands {

inline constexpr std::string_view kDefaultStore = "/claude-auth";

/// The store that is meant: `option` (--store, CLAUDE_INIT_STORE) if not empty; else the first of
/// /claude-auth, /auth-output and HOME/.claude (only when that is itself a mount) that exists; else, outside
/// containers, $CLAUDE_HUB_DIR or ~/.claude-hub; else /claude-auth, which then does not exist. Always
/// absolute.
[[nodiscard]] std::string choose_store(const std::string& option, std::string_view home,
                                       const options::Environment& environment);

/// What a person types on the host to log in into `store`: how the store came into this container is not
/// known here, so the host's side is written as the documented default.
[[nodiscard]] std::string setup_command_line(const std::string& store, bool in_container);

}  // namespace claude_init::commands
