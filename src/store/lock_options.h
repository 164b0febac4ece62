#pragma once

#include <string_view>

#include "base/time.h"

/// How the locks of a store are to be had, as a person may want them (--locking); lock/ takes them.
namespace claude_init::store {

/// How a store is locked. flock(2) where one kernel sees everybody who opens the store; a lease (lock/lease.h) on
/// file systems that other machines change too (NFS, SMB, 9p, FUSE, …), where flock may reach this kernel
/// only.
enum class Locking {
  automatic,  // by statfs(2)
  flock,
  lease,
};

/// "auto", "flock", "lease".
[[nodiscard]] std::string_view name_of(Locking locking);

/// How long a lease lives: `beat` is the time between two heartbeats, `stale` how long the heartbeat must
/// have stood still before another process may take over. Tests use shorter ones.
struct LeaseTimes {
  Milliseconds beat{5'000};
  Milliseconds stale{30'000};
};

}  // namespace claude_init::store
