#pragma once

#include <cstdint>
#include <string>

namespace claude_init {

/// From the kernel. Of so few bytes a call neither fails nor is cut short by a signal (getrandom(2)).
[[nodiscard]] std::uint64_t random_number();

/// 32 hexadecimal digits: a unique name.
[[nodiscard]] std::string random_name();

}  // namespace claude_init
