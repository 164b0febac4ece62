#pragma once

#include <string_view>

#include "base/time.h"

namespace claude_init {

/// Writes `text` to `fd` for a person to read, waiting at most `patience` for room: a pipe that nobody
/// empties or a terminal stopped with ^S must not hold up supervision, nor a job that shares it and takes the
/// room just before us. What does not fit by then is dropped, also when we are told to end. False if anything
/// was. Regular files never wait.
bool write_to_reader(int fd, std::string_view text, Milliseconds patience);

/// Opens the pipe or terminal at `fd` anew for write_to_reader(), as a description whose flags are ours
/// alone: non-blocking, while those of `fd`, which a job inherits, stay as they are. Once, at the start of
/// the process, before it changes its user. Where that fails (no /proc, another user's stream), writes to a
/// pipe have RWF_NOWAIT; on a kernel without that (before 6.4), and on such a terminal, a job that takes the
/// room between our look and our write holds us up.
void open_for_us_alone(int fd);

/// Writes `text` to `fd`, however long the reader takes (a pager). 0, or the errno with which the rest could
/// not be written: EINTR where we are told to end (interrupt::number()).
[[nodiscard]] int write_all(int fd, std::string_view text);

}  // namespace claude_init
