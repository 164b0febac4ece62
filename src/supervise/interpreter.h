#pragma once

#include <string>

namespace claude_init::supervise {

/// What a file that is there lacks if execve(2) does not find it: the interpreter that its first line names,
/// or the loader of the C library that it was linked with. As a remedy; "" where it says neither, or cannot
/// be read.
[[nodiscard]] std::string how_to_interpret(const std::string& file);

}  // namespace claude_init::supervise
