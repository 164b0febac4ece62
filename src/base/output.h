#pragma once

#include <string_view>

#include "base/time.h"

namespace claude_init {

/// Writes `text` to `fd` for somebody to read, waiting at most `patience` for room: a pipe that nobody
/// empties or a terminal stopped with ^S must not hold up whoever supervises. What does not fit by then is
/// dropped, also when we are told to end. False if anything was. Regular files never wait.
bool write_to_reader(int fd, std::string_view text, Milliseconds patience);

/// Writes `text` to `fd`, however long the reader takes (a pager). 0, or the errno with which the rest could
/// not be written: EINTR where we are told to end (interrupt::number()).
[[nodiscard]] int write_all(int fd, std::string_view text);

}  // namespace claude_init
