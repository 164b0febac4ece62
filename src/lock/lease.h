#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "store/lock_options.h"
#include "store/tree.h"

namespace claude_init::lock {

inline constexpr std::size_t kMaxHolder = 4096;  // bytes of what a lock's holder tells of itself

/// What this process has seen of other holders' heartbeats, so that a try that does not wait learns from the
/// one before. Two hosts' clocks never meet: a heartbeat is only ever compared with an earlier look at the
/// same one, and the time between two looks is our own monotonic clock's.
class Sightings {
 public:
  /// A look at the heartbeat of `holder` at `now`. How long it has stood still so far, in looks without a
  /// gap: while we could not look, the holder may not have been able to beat either (the server was away).
  Milliseconds still_for(const std::string& holder, std::int64_t heartbeat, SteadyTime now,
                         const store::LeaseTimes& times);
  /// Whether a heartbeat was seen to move since `since`: the holder lives.
  [[nodiscard]] bool moved_since(const std::string& holder, SteadyTime since) const;

 private:
  struct Seen {
    std::int64_t heartbeat = 0;
    SteadyTime first;  // with this heartbeat
    SteadyTime last;
    bool moved = false;
  };
  std::map<std::string, Seen> seen_;
};

/// A lock on a file system where flock(2) does not reach everybody. It is a directory NAME.lease that is not
/// empty: in it lies one file, named by a random word of the holder's own, with the holder's description, and
/// its mtime is the heartbeat.
///
/// Taking: such a directory is prepared under another name and moved onto NAME.lease, which every file system
/// refuses, in one step, if something is in there. Releasing, and breaking a stale one: the file is removed
/// by its own random name. So two that break at once remove one and the same file, nobody can remove a
/// successor's, and a holder that comes back to life finds its file gone. Whoever breaks still has to take.
///
/// The heartbeat comes from a thread of its own, since the process's only other one may be inside a long copy
/// or fsync. It ends with the process: what a child of ours still does for the lock after we were killed has
/// to end within `stale - beat`.
class Lease {
 public:
  /// Gives it back. Does not wait.
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  /// Error busy: another process has taken it, or could have: the heartbeat could not be written for too
  /// long.
  [[nodiscard]] Result<void> verify() const;

  struct Beating;  // what the thread shares with us

 private:
  friend class LeaseContest;
  explicit Lease(std::shared_ptr<Beating> beating) : beating_(std::move(beating)) {}
  std::shared_ptr<Beating> beating_;
  interrupt::Untidy untidy_;
};

/// One process's tries to get one lease. Everything with the rights of `tree.who`.
class LeaseContest {
 public:
  /// `locks` is the directory that NAME.lease lies in, `text` describes us to others.
  LeaseContest(UniqueFd locks, std::string name, std::string text, const store::Tree& tree,
               const store::Modes& modes, Sightings& sightings, const store::LeaseTimes& times);
  ~LeaseContest();
  LeaseContest(const LeaseContest&) = delete;
  LeaseContest& operator=(const LeaseContest&) = delete;

  /// Takes it if it is free or stale. Null: another process holds it.
  [[nodiscard]] Result<std::unique_ptr<Lease>> try_once();
  /// Whether the holder was seen alive since the contest began.
  [[nodiscard]] bool holder_lives() const;
  /// What the holder of the last try says about itself; "" if that cannot be read.
  [[nodiscard]] std::string holder_text() const;

 private:
  [[nodiscard]] Result<void> prepare();
  [[nodiscard]] Result<bool> take();
  [[nodiscard]] bool break_stale();
  void remove_debris();

  UniqueFd locks_;
  std::string name_;      // NAME.lease
  std::string word_;      // our own
  std::string prepared_;  // "" = not made yet, or moved into place
  std::string text_;
  store::Tree tree_;
  store::Modes modes_;
  Sightings& sightings_;
  store::LeaseTimes times_;
  SteadyTime begin_;
  std::string holder_;  // of the last try
};

}  // namespace claude_init::lock
