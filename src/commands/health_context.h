#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "health/health.h"
#include "log/log.h"
#include "options/environment.h"

namespace claude_init::commands {

/// What the words about an inspected store depend on, as it is now and here.
[[nodiscard]] health::Context health_context(const store::Inspection& inspection,
                                             const options::Environment& environment);

/// The variables that make the CLI use another login than the stored one.
[[nodiscard]] std::vector<std::string> shadowing_variables(const options::Environment& environment);

/// Says a store's state and what to do, as `health` does, with `before` put before the headline; one line
/// with --log-format json. `level` is error or warn.
void tell(log::Level level, std::string_view before, const health::Explanation& words,
          const options::Environment& environment);

}  // namespace claude_init::commands
