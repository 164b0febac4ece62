#pragma once

#include <cstdint>

#include "base/result.h"
#include "store/store.h"

namespace claude_init::sync {

/// Whether it has locks: a published one has none.
enum class Locked { yes, no };
/// Proves that a capture can succeed later: creates `.claude-init/` and its `locks/`, writes, syncs
/// and removes a probe file, looks at the free space (`needed` bytes, and inodes where the file system
/// counts them). Errors: read_only, permission, no_space, io; each with a remedy.
[[nodiscard]] Result<void> prepare(const store::Store& store, std::uint64_t needed,
                                   Locked locked = Locked::yes);

}  // namespace claude_init::sync
