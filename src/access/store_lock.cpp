#include "access/store_lock.h"

namespace claude_init::commands {

Result<store::Lock> lock_store(const store::Store& store, std::string_view purpose, Milliseconds wait,
                               const Deadline& deadline) {
  return store::Lock::acquire(store, "store", purpose, wait, deadline);
}

}  // namespace claude_init::commands
