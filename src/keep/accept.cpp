#include "keep/accept.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

namespace claude_init::keep {
namespace {

/// A media range of an Accept field: "text/plain;version=0.0.4;q=0.5".
struct Range {
  std::string type;     // in lower case
  std::string version;  // "" where it does not matter
  double quality = 1;
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

/// Up to the next `end`, which is taken too. What is in quotes does not end it.
std::string_view take_until(std::string_view& text, char end) {
  bool quoted = false;
  std::size_t length = 0;
  for (; length < text.size(); ++length) {
    if (text[length] == '"') quoted = !quoted;
    if (text[length] == end && !quoted) break;
  }
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return trimmed(taken);
}

Range parse_range(std::string_view text) {
  Range range;
  range.type = lower(take_until(text, ';'));
  while (!text.empty()) {
    std::string_view parameter = take_until(text, ';');
    const std::string name = lower(take_until(parameter, '='));
    std::string_view value = trimmed(parameter);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    if (name == "version") range.version = value;
    if (name != "q") continue;
    double quality = 0;  // one that cannot be understood is as good as none
    std::from_chars(value.data(), value.data() + value.size(), quality);
    range.quality = quality >= 0 && quality <= 1 ? quality : 0;
  }
  return range;
}

/// What a client thinks of one of our formats. The range that names it most closely counts.
struct Liked {
  std::string_view type;
  std::string_view group;
  std::string_view version;
  int closeness = -1;
  double quality = 0;

  void consider(const Range& range) {
    int close = range.type == type ? 2 : range.type == group ? 1 : range.type == "*/*" ? 0 : -1;
    if (close == 2 && !range.version.empty()) close = range.version == version ? 3 : -1;
    if (close < closeness || close < 0) return;
    quality = close == closeness ? std::max(quality, range.quality) : range.quality;
    closeness = close;
  }
  [[nodiscard]] bool is_named() const { return closeness >= 2; }
};

}  // namespace

health::Exposition wanted_exposition(std::string_view accept) {
  Liked text{"text/plain", "text/*", "0.0.4"};
  Liked openmetrics{"application/openmetrics-text", "application/*", "1.0.0"};
  while (!accept.empty()) {
    const Range range = parse_range(take_until(accept, ','));
    text.consider(range);
    openmetrics.consider(range);
  }
  return openmetrics.is_named() && openmetrics.quality > text.quality ? health::Exposition::openmetrics
                                                                      : health::Exposition::text;
}

}  // namespace claude_init::keep
