#pragma once

#include <string>

namespace claude_init {

/// 32 hexadecimal digits from the kernel: a name that nobody else has.
[[nodiscard]] std::string random_name();

}  // namespace claude_init
