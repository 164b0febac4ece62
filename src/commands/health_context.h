#pragma once

#include <string>

#include "health/health.h"
#include "options/environment.h"

namespace claude_init::commands {

/// What the words about an inspected store depend on, as it is now and here.
[[nodiscard]] health::Context health_context(const store::Inspection& inspection,
                                             const options::Environment& environment);

}  // namespace claude_init::commands
