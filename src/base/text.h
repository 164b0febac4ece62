#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace claude_init {

/// "312 B", "1.2 MiB".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);

/// "16G", "500M", "1.5T", "64KiB", a plain number in bytes; powers of 1024, decimals allowed. Error: usage.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);

/// A file name or other foreign text made safe to show on a terminal or a page and to log on one line: control
/// characters, terminal escapes, invalid UTF-8, and what changes the direction of a text or is not seen in it
/// (format characters, line separators, fillers) become \xNN, byte by byte.
[[nodiscard]] std::string printable(std::string_view text);

/// A word as a POSIX shell needs it written: quoted only where that is necessary.
[[nodiscard]] std::string shell_quote(std::string_view word);

}  // namespace claude_init
