#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "store/lease.h"
#include "store/store.h"

namespace claude_init::store {

/// Who holds a lock: told to whoever waits or is refused.
struct Holder {
  std::string host;
  int pid = 0;
  std::string purpose;
  UnixMs since = 0;
  /// "setup on host web-1 (pid 1, for 4 min 10 s)"
  [[nodiscard]] std::string describe(UnixMs now) const;
};

/// An advisory lock in STORE/.claude-init/locks: flock(2) on the file NAME, or on a network file system the
/// lease NAME (locking.h says which, lease.h how). With flock a holder that is killed blocks nobody; a lease
/// blocks others for LeaseTimes::stale at most. Released by the destructor, which does not wait.
///
/// Three are used: "setup", held by an interactive session for its whole life; "store", held for the length
/// of one capture; "renewal", held while the login is renewed. The first one taken in a store gives it its
/// identity (id.h).
///
/// Fair in practice: who has waited longer tries more often, so that newcomers do not overtake for long.
class Lock {
 public:
  /// Takes it, waiting at most `wait`; after a second the log says for whom. With a wait of 0 it never
  /// blocks, for use in an event loop. With a longer one a lease whose holder shows no sign of life is waited
  /// for until it has shown one or is stale. Error: busy with the holder in the text; usage, invalid
  /// (locking.h); read_only, permission, no_space, io.
  [[nodiscard]] static Result<Lock> acquire(const Store& store, std::string_view name,
                                            std::string_view purpose, Milliseconds wait);
  /// Who holds NAME now; an empty host if nobody does. Needs no write access.
  [[nodiscard]] static Holder holder(const Store& store, std::string_view name);

  /// What a child inherits so that the lock lives as long as it does, even if we are killed: the descriptor
  /// of the flock. -1 on a lease, which cannot be inherited: that child has to end within LeaseTimes::stale -
  /// LeaseTimes::beat (25 s) after our death.
  [[nodiscard]] int fd() const { return fd_.get(); }

  /// Whether it is still ours: a lease is lost when we, or the file system, stood still for too long. To be
  /// asked before what it protects is changed. Error busy.
  [[nodiscard]] Result<void> verify() const { return lease_ ? lease_->verify() : Result<void>(Done{}); }

  /// When the wait that acquire() was given ends: other locks that are needed (the CLI's own) share it.
  [[nodiscard]] SteadyTime patience_ends() const { return patience_ends_; }

 private:
  UniqueFd fd_;
  std::unique_ptr<Lease> lease_;
  SteadyTime patience_ends_;
};

}  // namespace claude_init::store
