#include "sync/ordered_work.h"

#include <signal.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/time.h"

namespace claude_init::sync {
namespace {

// Each may keep a few descriptors open; more would not be faster.
constexpr std::size_t kMostGiven = 32;
constexpr Milliseconds kWait{50};

}  // namespace

unsigned OrderedWork::usual_threads() {
  return std::min(kMostThreads, std::max(std::thread::hardware_concurrency(), 1U) - 1);
}

OrderedWork::OrderedWork(unsigned threads, std::function<void()> while_waiting)
    : while_waiting_(std::move(while_waiting)) {
  // All signals are the caller's.
  sigset_t all;
  sigset_t mask;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &mask);
  try {
    for (unsigned worker = 1; worker <= threads; ++worker)
      threads_.emplace_back([this, worker] { run(worker); });
  } catch (const std::system_error&) {
    // A limit on processes: with fewer, or none.
  }
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
}

OrderedWork::~OrderedWork() {
  {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
    stopping_ = true;
  }
  given_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void OrderedWork::run(unsigned worker) {
  std::unique_lock lock(mutex_);
  while (true) {
    given_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    do_one(lock, worker);
    done_.notify_one();
  }
}

void OrderedWork::do_one(std::unique_lock<std::mutex>& lock, unsigned worker) {
  const auto piece = std::move(waiting_.front());
  waiting_.pop_front();
  lock.unlock();
  piece->work(worker);
  lock.lock();
  piece->done = true;
}

Result<void> OrderedWork::give(Work work, Then then) {
  if (threads_.empty()) {
    work(0);
    return then();
  }
  auto piece = std::make_shared<Piece>();
  piece->work = std::move(work);
  piece->then = std::move(then);
  pieces_.push_back(piece);
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(piece));
  }
  given_.notify_one();
  return pieces_.size() < kMostGiven ? Result<void>(Done{}) : settle_first();
}

Result<void> OrderedWork::finish() {
  while (!pieces_.empty()) {
    if (auto settled = settle_first(); !settled) return settled;
  }
  return Done{};
}

/// Helps until the first one is done. Only the caller looks at `pieces_`.
Result<void> OrderedWork::settle_first() {
  const auto first = pieces_.front();
  std::unique_lock lock(mutex_);
  while (!first->done) {
    if (!waiting_.empty()) {
      do_one(lock, 0);
    } else if (!done_.wait_for(lock, kWait, [&] { return first->done; })) {
      lock.unlock();
      while_waiting_();
      lock.lock();
    }
  }
  lock.unlock();
  pieces_.pop_front();
  return first->then();
}

}  // namespace claude_init::sync
