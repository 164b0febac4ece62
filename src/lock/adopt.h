#pragma once

#include "base/result.h"
#include "lock/lock.h"
#include "store/store.h"

namespace claude_init::lock {

/// --adopt: this is a store of its own from now on, with a new name, locked as suits its file system. Needs
/// the "store" lock, and no other process may be using it.
[[nodiscard]] Result<void> adopt(const store::Store& store, const Lock& held);

}  // namespace claude_init::lock
