#include "access/store_lock.h"

namespace claude_init::access {

Result<lock::Lock> lock_store(const store::Store& store, std::string_view purpose, Milliseconds wait,
                              const Deadline& deadline) {
  return lock::Lock::acquire(store, "store", purpose, wait, deadline);
}

}  // namespace claude_init::access
