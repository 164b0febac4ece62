#pragma once

#include <memory>
#include <string_view>

#include "base/deadline.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "lock/lease.h"
#include "store/store.h"

namespace claude_init::lock {

/// An advisory lock in STORE/.claude-init/locks: flock(2) on the file NAME, or on a network file system the
/// lease NAME (lock_method.h says which, lease.h how). A killed holder's flock is gone at once; its lease
/// blocks others for LeaseTimes::stale at most. Released by the destructor, which does not wait.
///
/// Four are used: "setup", held by an interactive session for its whole life; "store", held for the length
/// of one capture; "renewal", held while the login is renewed; "publish", held while something is published
/// from this store, in which no job has a place: what is published has no lock. The first one taken in a
/// store gives it its identity (store/provenance.h).
///
/// flock(2) needs no right to write: a process that can open a lock's file for reading can hold it. So the
/// directory and the files are open to the store's owner only, whatever the store's modes, and a waiting
/// process names the holds it as the kernel knows it (lock_holder.h).
///
/// Fair in practice: a process that has waited longer tries more often, so newcomers do not overtake for
/// long.
class Lock {
 public:
  /// Takes it, waiting at most `wait`; after a second the log says for whom. With a wait of 0 it never
  /// blocks, for use in an event loop. With a longer one a lease whose holder shows no sign of life is waited
  /// for until it has shown one or is stale. Never beyond the deadline, which is asked meanwhile. Error: busy
  /// with the holder in the text; usage, invalid (lock_method.h); read_only, permission, no_space, io.
  [[nodiscard]] static Result<Lock> acquire(const store::Store& store, std::string_view name,
                                            std::string_view purpose, Milliseconds wait,
                                            const Deadline& deadline = {});
  /// None, for a tree that only we write to; `wait` as for acquire().
  [[nodiscard]] static Lock unneeded(Milliseconds wait);

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

}  // namespace claude_init::lock
