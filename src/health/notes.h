#pragma once

#include <string>
#include <vector>

#include "health/health.h"

namespace claude_init::health {

/// What is worth a warning beside the state: each a sentence with what to do about it.
[[nodiscard]] std::vector<std::string> notes_on(const store::Inspection& inspection, const Context& context);

}  // namespace claude_init::health
