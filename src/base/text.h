#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <system_error>

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

/// Reads `text`, all of it, as a whole number. False where it is none or does not fit; then `number` stays as
/// it is.
template <class Number>
[[nodiscard]] bool read_number(std::string_view text, Number& number, int base = 10) {
  const char* const end = text.data() + text.size();
  Number value{};
  const auto [stop, error] = std::from_chars(text.data(), end, value, base);
  if (error != std::errc() || stop != end) return false;
  number = value;
  return true;
}

/// What stands before the first `end`, all where there is none: taken from `text`, and `end` with it.
std::string_view take_until(std::string_view& text, char end);

/// The name of this machine, or of the container; "" where it has none.
[[nodiscard]] std::string host_name();

/// The lines of a text, without their ends.
[[nodiscard]] std::vector<std::string_view> lines_of(std::string_view text);

/// A word as a POSIX shell needs it written: quoted only where that is necessary.
[[nodiscard]] std::string shell_quote(std::string_view word);

}  // namespace claude_init
