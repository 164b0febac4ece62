#include "base/text.h"

#include <fmt/format.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace claude_init {
namespace {

/// Length of the valid UTF-8 sequence at the start of `text` (1 to 4), 0 if there is none. Overlong forms,
/// surrogates and values above U+10FFFF are invalid (RFC 3629).
std::size_t utf8_sequence(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                             : first >= 0xE0 && first <= 0xEF ? 3
                             : first >= 0xF0 && first <= 0xF4 ? 4
                                                              : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F)) {
    return 0;
  }
  return length;
}

char32_t code_point(std::string_view sequence) {
  constexpr std::array<unsigned char, 4> kFirstBits{0x7F, 0x1F, 0x0F, 0x07};  // by length
  char32_t code = static_cast<unsigned char>(sequence[0]) & kFirstBits[sequence.size() - 1];
  for (const char c : sequence.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3F);
  return code;
}

/// What a terminal or a browser obeys or does not show, so that a text would not be what it looks like:
/// Unicode 15's categories Cc, Cf, Zl and Zp, its Default_Ignorable_Code_Point, and noncharacters.
bool is_shown_as_it_is(char32_t code) {
  struct Range {
    char32_t first, last;
  };
  static constexpr std::array<Range, 31> kHidden{{
      {0x0000, 0x001F},   {0x007F, 0x009F},     {0x00AD, 0x00AD},       {0x034F, 0x034F},
      {0x0600, 0x0605},   {0x061C, 0x061C},     {0x06DD, 0x06DD},       {0x070F, 0x070F},
      {0x0890, 0x0891},   {0x08E2, 0x08E2},     {0x115F, 0x1160},       {0x17B4, 0x17B5},
      {0x180B, 0x180F},   {0x200B, 0x200F},     {0x2028, 0x202E},       {0x2060, 0x206F},
      {0x3164, 0x3164},   {0xFDD0, 0xFDEF},     {0xFE00, 0xFE0F},       {0xFEFF, 0xFEFF},
      {0xFFA0, 0xFFA0},   {0xFFF0, 0xFFFB},     {0x110BD, 0x110BD},     {0x110CD, 0x110CD},
      {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},   {0x1D173, 0x1D17A},     {0xE0000, 0xE0FFF},
      {0xFFFFE, 0xFFFFF}, {0x10FFFE, 0x10FFFF}, {0x110000, 0xFFFFFFFF},
  }};
  const auto* const range = std::lower_bound(kHidden.begin(), kHidden.end(), code,
                                             [](const Range& r, char32_t c) { return r.last < c; });
  return code < range->first && (code & 0xFFFE) != 0xFFFE;
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  const auto bad = [&] {
    return make_error(ErrorKind::usage, fmt::format("'{}' is not a size", text),
                      "write a number with a unit: 500M, 16G, 1T");
  };
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || !std::isfinite(value) || value < 0) return bad();
  std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  constexpr std::string_view kPrefixes = "KMGTP";
  const std::size_t prefix = unit.empty() ? std::string_view::npos : kPrefixes.find(unit.front());
  if (prefix != std::string_view::npos) {
    unit.remove_prefix(1);
    value *= static_cast<double>(std::uint64_t{1} << (10 * (prefix + 1)));
  }
  const bool known = unit.empty() || unit == "B" || (unit == "iB" && prefix != std::string_view::npos);
  // An exabyte is beyond any use and far from overflow.
  if (!known || value > 1e18) return bad();
  return static_cast<std::uint64_t>(value);
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_sequence(text);
    if (length == 0 || !is_shown_as_it_is(code_point(text.substr(0, length)))) {
      const std::size_t bytes = length == 0 ? 1 : length;
      for (std::size_t i = 0; i < bytes; ++i) {
        fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[i]));
      }
      text.remove_prefix(bytes);
      continue;
    }
    out.append(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

std::string shell_quote(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@%+,";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string_view::npos) return std::string(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string_view take_until(std::string_view& text, char end) {
  const std::size_t length = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return taken;
}

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "";
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace claude_init
