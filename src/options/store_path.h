#pragma once

#include <string>
#include <string_view>

#include "fs/mounts.h"
#include "options/environment.h"

namespace claude_init::options {

inline constexpr std::string_view kDefaultStore = "/claude-auth";

/// The store that is meant: `option` (--store, CLAUDE_INIT_STORE) if not empty; else the first of
/// /claude-auth, /auth-output and HOME/.claude (only when that is itself a mount) that exists; else, outside
/// containers, $CLAUDE_HUB_DIR or ~/.claude-hub; else /claude-auth, which then does not exist. Always
/// absolute.
[[nodiscard]] std::string choose_store(const std::string& option, std::string_view home,
                                       const options::Environment& environment);

/// What stands left of the colon in the `-v` that brought the store into this container: $CLAUDE_HUB_DIR if
/// it was passed in, the name of a named volume, else the documented place: a bind mount's source is not to
/// be seen from inside. `mounts`: as they are, where the caller has read them.
[[nodiscard]] std::string host_side_of(const std::string& store, const options::Environment& environment,
                                       const fs::Mounts* mounts = nullptr);

/// `text` with `name` for each "{name}" in it.
[[nodiscard]] std::string with_name(std::string text, std::string_view name);

/// What a person types to log in into `store`: $CLAUDE_INIT_LOGIN_COMMAND if that is set, since only whoever
/// composes the containers knows how another one of them is started. "{name}" in it becomes what `keep` calls
/// the store that is given no name.
[[nodiscard]] std::string setup_command_line(const std::string& store, bool in_container,
                                             const options::Environment& environment,
                                             const fs::Mounts* mounts = nullptr);

/// The words of a `docker run` that put a store where it is here, and name it where it is not found by
/// itself. `mode`: "" or ":ro".
[[nodiscard]] std::string mounted(const std::string& host_side, const std::string& store,
                                  std::string_view mode = "");

}  // namespace claude_init::options
