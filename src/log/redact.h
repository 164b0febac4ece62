#pragma once

#include <string>
#include <string_view>

namespace claude_init::log {

/// The text with everything that looks like a credential replaced by "[redacted]": `sk-ant-…` in every
/// variety, bearer values, and the values of JSON keys and variables whose name ends in token, secret,
/// password, key or authorization. The last line of defence: nothing secret should arrive here.
[[nodiscard]] std::string redact(std::string_view text);

}  // namespace claude_init::log
