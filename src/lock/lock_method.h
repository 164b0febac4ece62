#pragma once

#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace claude_init::store {

class Store;

/// How a store is locked. flock(2) where one kernel sees everybody who opens the store; a lease (lease.h) on
/// file systems that other machines change too (NFS, SMB, 9p, FUSE, …), where flock may reach this kernel
/// only.
enum class Locking {
  automatic,  // by statfs(2)
  flock,
  lease,
};

/// "auto", "flock", "lease".
[[nodiscard]] std::string_view name_of(Locking locking);

/// STORE/.claude-init/locks, open to the store's owner only, and what holds in it: flock or lease, never
/// automatic.
struct Locks {
  UniqueFd directory;
  Locking method = Locking::flock;
};

/// For whoever is going to lock. Decided by the first one, for everybody and for good, and written to
/// `locks/method`: who sees the same store through another kind of mount must do the same. Two that decide at
/// once get the same answer. Called with the rights of the store's owner. Errors: usage (the store was opened
/// with another method than it has: see store::adopt()), invalid (the record is damaged), read_only,
/// permission, no_space, io.
[[nodiscard]] Result<Locks> open_locks(const Store& store);

/// For whoever only looks. Error not_found: nobody has locked this store yet.
[[nodiscard]] Result<Locks> look_at_locks(const Store& store);

/// Decides anew, by what the store was opened with or by its file system. Nobody may be using it.
[[nodiscard]] Result<void> decide_locking_again(const Store& store);

}  // namespace claude_init::store
