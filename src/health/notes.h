#pragma once

#include <string>
#include <vector>

#include "health/health.h"

namespace claude_init::health {

/// The remedy where the login is one that has to be made anew.
[[nodiscard]] std::string log_in_again(const Context& context);

/// What is worth a warning beside the state: each a sentence with what to do about it.
[[nodiscard]] std::vector<std::string> notes_on(const store::Inspection& inspection, const Context& context);

}  // namespace claude_init::health
