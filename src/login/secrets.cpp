#include "login/secrets.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <optional>

#include "login/login.h"
#include "login/rewrite.h"

namespace claude_init::login {
namespace {

constexpr std::string_view kOwnRefreshToken = "sk-ant-ort";
constexpr std::string_view kOwnSecret = "sk-ant-";  // that, access tokens, API keys
constexpr char kBlank = 'x';

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool is_letter_or_digit(char c) {
  return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || (c >= '0' && c <= '9');
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Letters and digits only, in lower case: one spelling for all.
std::string plain_spelling(std::string_view name) {
  std::string plain;
  for (const char c : name) {
    if (is_letter_or_digit(c)) plain += to_lower(c);
  }
  return plain;
}

std::size_t find_mark(const char* text, std::size_t from, std::size_t size, std::string_view what) {
  const void* found = from < size ? ::memmem(text + from, size - from, what.data(), what.size()) : nullptr;
  return found == nullptr ? size : static_cast<std::size_t>(static_cast<const char*>(found) - text);
}

/// A stretch of the text to be overwritten; `end` is where it stops for now.
struct Stretch {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool complete = true;  // false: it may go on, or not be one, after the end of the text
};

/// The CLI's own token that begins at `at` with `mark`.
Stretch own_token(std::string_view text, std::size_t at, std::string_view mark) {
  std::size_t end = at + mark.size();
  while (end < text.size() && (is_letter_or_digit(text[end]) || text[end] == '-' || text[end] == '_')) ++end;
  return {at, end, end < text.size()};
}

/// Where a name that ends in `tail` ("oken", "ecret", at `at`) begins, if it is one of those that are looked
/// for.
std::optional<std::size_t> begin_of_name(std::string_view text, std::size_t at, Withheld withheld) {
  struct Name {
    std::string_view first;
    char second;  // how the second word begins; the rest of it has been found
    Withheld from = Withheld::refresh_tokens;
  };
  for (const Name name :
       {Name{"refresh", 't'}, Name{"client", 's'}, Name{"access", 't', Withheld::all_tokens}}) {
    if (name.from > withheld) continue;
    std::size_t begin = at;
    if (begin == 0 || to_lower(text[begin - 1]) != name.second) continue;
    begin -= 1;
    if (begin > 0 && (text[begin - 1] == '_' || text[begin - 1] == '-')) begin -= 1;
    if (begin < name.first.size()) continue;
    begin -= name.first.size();
    const std::string_view word = text.substr(begin, name.first.size());
    if (std::equal(word.begin(), word.end(), name.first.begin(),
                   [](char a, char b) { return to_lower(a) == b; }))
      return begin;
  }
  return std::nullopt;
}

/// The value of a member whose name ends at `at`: `"`, `:`, `"`, value, `"`, each quote perhaps behind
/// backslashes. Nothing where that is not what follows.
std::optional<Stretch> value_after(std::string_view text, std::size_t at) {
  const auto skip = [&](auto wanted) {
    while (at < text.size() && wanted(text[at])) ++at;
    return at < text.size();
  };
  const auto is_backslash = [](char c) { return c == '\\'; };
  const Stretch unknown{text.size(), text.size(), false};
  const std::size_t before = at;
  if (!skip(is_backslash)) return unknown;
  const bool escaped = at > before;
  if (text[at++] != '"') return std::nullopt;
  if (!skip(is_space)) return unknown;
  if (text[at++] != ':') return std::nullopt;
  if (!skip(is_space) || !skip(is_backslash)) return unknown;
  if (text[at++] != '"') return std::nullopt;
  const std::size_t begin = at;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\' && !escaped)
      ++at;
    else if (text[at] == '"')
      break;
  }
  if (at >= text.size()) return Stretch{begin, text.size(), false};
  while (escaped && at > begin && text[at - 1] == '\\') --at;
  return Stretch{begin, at, true};
}

class Blanker {
 public:
  Blanker(char* text, std::size_t size, bool more) : text_(text), size_(size), more_(more), done_(size) {}

  /// Each place in which `mark` stands, by what `stretch_at` says of it.
  template <class StretchAt>
  void each(std::string_view mark, StretchAt stretch_at) {
    for (std::size_t at = find_mark(text_, 0, size_, mark); at < size_;) {
      const std::optional<Stretch> stretch = stretch_at(std::string_view(text_, size_), at);
      const bool waits = stretch && !stretch->complete && more_ && size_ - at + kBefore < kLongestSecret;
      if (waits) {
        done_ = std::min(done_, at > kBefore ? at - kBefore : 0);
      } else if (stretch) {
        std::fill(text_ + stretch->begin, text_ + stretch->end, kBlank);
      }
      at = find_mark(text_, std::max(at + mark.size(), stretch ? stretch->end : 0), size_, mark);
    }
  }

  /// What may be the beginning of something is kept, and never more than is allowed.
  [[nodiscard]] std::size_t done() const {
    if (!more_) return size_;
    const std::size_t most = size_ > kLongestSecret ? size_ - kLongestSecret : 0;
    return std::max(std::min(done_, size_ > kBefore ? size_ - kBefore : 0), most);
  }

 private:
  static constexpr std::size_t kBefore = 32;  // longer than a mark with all that belongs in front of it
  char* const text_;
  const std::size_t size_;
  const bool more_;
  std::size_t done_;
};

}  // namespace

bool names_secret(std::string_view key) {
  static constexpr std::array<std::string_view, 12> kEndings{
      "refreshtoken", "refreshtokens", "secret",          "secrets",
      "password",     "passwd",        "passphrase",      "privatekey",
      "idtoken",      "codeverifier",  "clientassertion", "registrationaccesstoken"};
  const std::string plain = plain_spelling(key);
  return plain == "refresh" || std::any_of(kEndings.begin(), kEndings.end(),
                                           [&](std::string_view ending) { return plain.ends_with(ending); });
}

bool holds_refresh_token(std::string_view text) {
  return text.find(kOwnRefreshToken) != std::string_view::npos;
}

bool is_credentials_name(std::string_view name) {
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(), to_lower);
  if (lower.find(".credentials") != std::string::npos || lower.find("credentials.json") != std::string::npos)
    return true;
  return lower == "credentials" || lower.starts_with("credentials.bak") ||
         lower.starts_with("credentials.old");
}

bool begins_as_json(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  return start != std::string_view::npos && (text[start] == '{' || text[start] == '[');
}

std::size_t blank_secrets(char* text, std::size_t size, bool is_json, bool more, Withheld withheld) {
  Blanker blanker(text, size, more);
  const std::string_view own = withheld == Withheld::all_tokens ? kOwnSecret : kOwnRefreshToken;
  blanker.each(
      own, [&](std::string_view whole, std::size_t at) { return std::optional(own_token(whole, at, own)); });
  if (!is_json) return blanker.done();
  for (const std::string_view tail : {std::string_view("oken"), std::string_view("ecret")}) {
    blanker.each(tail, [&](std::string_view whole, std::size_t at) {
      return begin_of_name(whole, at, withheld) ? value_after(whole, at + tail.size()) : std::nullopt;
    });
  }
  return blanker.done();
}

std::string with_secrets_blanked(std::string_view text, Withheld withheld) {
  std::string blanked(text);
  static_cast<void>(blank_secrets(blanked.data(), blanked.size(), begins_as_json(text), false, withheld));
  return blanked;
}

Result<Secret> without_refresh_token(std::string_view text) {
  // What is no login is told as parse() tells it.
  if (const auto parsed = parse(text); !parsed) return parsed.error();
  auto written = rewrite(text, Secrets::leave_out);
  if (!written) return written.error();
  return Secret(std::move(*written));
}

}  // namespace claude_init::login
