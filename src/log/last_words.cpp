#include "log/last_words.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "log/redact.h"

namespace claude_init::log {
namespace {

constexpr std::size_t kLongestLine = 200;

std::string_view trimmed(std::string_view text) {
  const auto is_blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  return text;
}

}  // namespace

std::string last_words(int fd, unsigned lines) {
  std::array<char, 4096> end{};
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const off_t start = std::max<off_t>(0, size - static_cast<off_t>(end.size()));
  const ssize_t n = ::pread(fd, end.data(), end.size(), start);
  std::string_view text = trimmed({end.data(), n > 0 ? static_cast<std::size_t>(n) : 0});
  std::string words;
  for (unsigned line = 0; line < lines && !text.empty(); ++line) {
    const std::size_t newline = text.rfind('\n');
    const std::string_view last = newline == std::string_view::npos ? text : text.substr(newline + 1);
    if (!words.empty()) words.insert(0, " / ");
    words.insert(0, redact(trimmed(last)).substr(0, kLongestLine));
    text = newline == std::string_view::npos ? std::string_view() : trimmed(text.substr(0, newline));
  }
  return words;
}

}  // namespace claude_init::log
