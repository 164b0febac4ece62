#pragma once

#include <string>

#include "health/health.h"
#include "options/environment.h"

namespace claude_init::commands {

/// What the words about the store at `store` depend on, as it is now and here.
[[nodiscard]] health::Context health_context(const std::string& store,
                                             const options::Environment& environment);

}  // namespace claude_init::commands
