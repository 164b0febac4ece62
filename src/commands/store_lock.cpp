#include "commands/store_lock.h"

#include <algorithm>
#include <chrono>

namespace claude_init::commands {

Result<store::Lock> lock_store(const store::Store& store, std::string_view purpose, Milliseconds wait,
                               const Deadline& deadline) {
  using std::chrono::steady_clock;
  constexpr Milliseconds kLook{100};  // between two looks at the deadline
  for (const SteadyTime end = steady_clock::now() + wait;;) {
    auto lock = store::Lock::acquire(store, "store", purpose, std::min(wait, kLook));
    if (lock || lock.error().kind != ErrorKind::busy) return lock;
    if (steady_clock::now() >= end || deadline.has_come()) return lock;
  }
}

}  // namespace claude_init::commands
