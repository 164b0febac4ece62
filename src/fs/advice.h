#pragma once

#include <string>

#include "fs/identity.h"

/// What a person can type where we may not act as somebody: the same words wherever that is met.
namespace claude_init::fs {

/// To be started as `who`.
[[nodiscard]] std::string how_to_run_as(Identity who);

/// For root that may not change its user: to allow that, or to be started as `who`.
[[nodiscard]] std::string how_to_become(Identity who);

}  // namespace claude_init::fs
