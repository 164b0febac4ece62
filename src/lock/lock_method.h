#pragma once

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/store.h"

namespace claude_init::lock {

/// STORE/.claude-init/locks, open to the store's owner only, and what holds in it: flock or lease, never
/// automatic.
struct Locks {
  UniqueFd directory;
  store::Locking method = store::Locking::flock;
};

/// To be called before locking. The first process decides for all, for good, and writes it to
/// `locks/method`: a process that has the same store by another kind of mount must do the same. Two that
/// decide at once get the same answer. Called with the rights of the store's owner. Errors: usage (the store
/// was opened with another method than it has: see lock::adopt()), invalid (the record is damaged),
/// read_only, permission, no_space, io.
[[nodiscard]] Result<Locks> open_locks(const store::Store& store);

/// Reads only. Error not_found: this store was never locked.
[[nodiscard]] Result<Locks> find_locks(const store::Store& store);

/// Decides anew, by what the store was opened with or by its file system. No other process may be using the
/// store.
[[nodiscard]] Result<void> decide_locking_again(const store::Store& store);

}  // namespace claude_init::lock
