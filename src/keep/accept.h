#pragma once

#include <string_view>

#include "health/prometheus.h"

namespace claude_init::keep {

/// Which of its two formats the metrics are asked for in (RFC 9110, 12.5.1): OpenMetrics only from a client
/// that names it and prefers it to the text format, which everything else can read. `accept` has all Accept
/// fields, separated by commas.
[[nodiscard]] health::Exposition wanted_exposition(std::string_view accept);

}  // namespace claude_init::keep
