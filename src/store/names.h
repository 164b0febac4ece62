#pragma once

#include <span>
#include <string_view>

/// The names at the top of the CLI's configuration directory: the one table of them.
namespace claude_init::store {

enum class Role {
  behaviour,  // shapes what the CLI does. A name that is not in the table counts as that: it may
  session,    // belongs to sessions: what they have written down, and what is needed to go on with them
  history,    // written down for people, statistics, installations: no job needs it
  process,    // of the running process, or a cache: worthless or harmful to another one; never captured
};

struct KnownName {
  std::string_view name;
  Role role;
  std::string_view seen;  // the latest version of the CLI in which it was seen
};
[[nodiscard]] std::span<const KnownName> known_names();

/// By the first component of a relative path.
[[nodiscard]] Role role_of(std::string_view name);

}  // namespace claude_init::store
