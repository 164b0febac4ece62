#pragma once

#include <string_view>

#include "base/deadline.h"
#include "base/result.h"
#include "lock/lock.h"

namespace claude_init::access {

/// Another session's capture takes well under this.
inline constexpr Milliseconds kCaptureWait{5000};

/// The "store" lock for `purpose`, waiting `wait` at most, and not beyond the deadline, which is asked
/// meanwhile.
[[nodiscard]] Result<lock::Lock> lock_store(const store::Store& store, std::string_view purpose,
                                            Milliseconds wait, const Deadline& deadline);

}  // namespace claude_init::access
