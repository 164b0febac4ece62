#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/result.h"

namespace claude_init::sync {

/// Does pieces of work several at a time, and what follows from each on the calling thread, in the order in
/// which they were given. The threads have the rights (fsuid, groups) that the caller has when it makes this,
/// take no signals, and have ended when it has been destroyed. Where there can be no threads the caller does
/// it all.
class OrderedWork {
 public:
  using Work = std::function<void(unsigned worker)>;  // 0: the caller, who helps
  using Then = std::function<Result<void>()>;
  static constexpr unsigned kMostThreads =
      3;  // beside the caller; what waits for a disk gains little from more

  /// As many as there are processors beside the caller's.
  [[nodiscard]] static unsigned usual_threads();

  /// `while_waiting` is called every 50 ms while the caller waits for a thread.
  OrderedWork(unsigned threads, std::function<void()> while_waiting);
  /// Drops what has not been begun.
  ~OrderedWork();
  OrderedWork(const OrderedWork&) = delete;
  OrderedWork& operator=(const OrderedWork&) = delete;

  /// Returns at once unless much is waiting. The Error is one of what followed from any piece.
  [[nodiscard]] Result<void> give(Work work, Then then);
  /// Until all is done.
  [[nodiscard]] Result<void> finish();

 private:
  struct Piece {
    Work work;
    Then then;
    bool done = false;
  };
  void run(unsigned worker);
  void do_one(std::unique_lock<std::mutex>& lock, unsigned worker);
  [[nodiscard]] Result<void> settle_first();

  std::function<void()> while_waiting_;
  std::mutex mutex_;
  std::condition_variable given_;
  std::condition_variable done_;
  std::deque<std::shared_ptr<Piece>> pieces_;   // the caller's: in order, until they are settled
  std::deque<std::shared_ptr<Piece>> waiting_;  // those not begun
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace claude_init::sync
