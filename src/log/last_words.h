#pragma once

#include <string>

namespace claude_init::log {

/// The last lines of what a program wrote into a file (not a pipe), those with something in them, `lines` at
/// most, on one line and redacted. "" where it wrote nothing.
[[nodiscard]] std::string last_words(int fd, unsigned lines);

}  // namespace claude_init::log
