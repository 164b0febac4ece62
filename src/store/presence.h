#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/store.h"

/// How many follow a store at this moment, for whoever looks after it. Each of them holds a read lock
/// (fcntl(2), F_OFD_SETLK) on one byte, taken at random, of STORE/.claude-init/present: that needs no right
/// to write, works on a read-only mount and in another container, and ends with its holder. The file is made
/// by the keeper; without it nobody is counted.
namespace claude_init::store {

/// Makes the file where it is missing. Errors: read_only, permission, no_space, io.
[[nodiscard]] Result<void> make_presence_file(const Store& store);

/// Whoever asks is counted as long as the descriptor is open. Errors: not_found (nobody counts here), others
/// as the system says.
[[nodiscard]] Result<UniqueFd> announce_presence(const Store& store);

/// 0 where nobody can be counted.
[[nodiscard]] std::uint64_t count_present(const Store& store);

}  // namespace claude_init::store
