#include "login/secrets.h"

#include <string.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

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

bool is_of_token(char c) {
  return is_letter_or_digit(c) || c == '-' || c == '_';
}

/// With which the CLI's own tokens begin that are withheld.
std::string_view own_mark(Withheld withheld) {
  return withheld == Withheld::all_tokens ? kOwnSecret : kOwnRefreshToken;
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

/// Whether a quote behind so many backslashes ends a string whose own quotes stand behind `quoted` of them:
/// each level of quoting doubles them and adds one. Where it ends a string around that one, this one has no
/// end.
bool ends_string(std::size_t backslashes, std::size_t quoted) {
  for (; quoted > 0; quoted /= 2) {
    if (backslashes % 2 == 0) return true;
    backslashes /= 2;
  }
  return backslashes % 2 == 0;
}

/// What is said of a value and is none: in the schema of a configuration.
bool is_description(std::string_view key) {
  static constexpr std::array<std::string_view, 6> kWords{"type",   "description", "title",
                                                          "format", "$ref",        "$comment"};
  return std::find(kWords.begin(), kWords.end(), key) != kWords.end();
}

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

/// What follows the name of a secret.
struct SecretBlanker::Found {
  enum class What { nothing, value, unknown } what = What::nothing;  // unknown: the text ends before it
  std::size_t begin = 0;                                             // of what is in it
  Value value{};
};

/// The value of a member whose name ends at `at`: `"`, `:`, and `"`, `{` or `[`, each quote perhaps behind
/// backslashes.
SecretBlanker::Found SecretBlanker::find_value(std::string_view text, std::size_t at) {
  const auto skip = [&](auto wanted) {
    const std::size_t from = at;
    while (at < text.size() && wanted(text[at])) ++at;
    return at - from;
  };
  const auto is_backslash = [](char c) { return c == '\\'; };
  const auto next = [&] { return at < text.size() ? text[at++] : '\0'; };
  const Found unknown{Found::What::unknown};
  skip([&, plural = at](char c) { return c == 's' && at == plural; });
  const std::size_t quoted = skip(is_backslash);
  if (at == text.size()) return unknown;
  if (next() != '"') return {};
  skip(is_space);
  if (at == text.size()) return unknown;
  if (next() != ':') return {};
  skip(is_space);
  const std::size_t inside = skip(is_backslash);
  if (at == text.size()) return unknown;
  const char first = next();
  Found found{Found::What::value, at};
  if (first == '"') {
    found.value.kind = Value::Kind::string;
    found.value.quoted = inside;
    found.value.in_string = true;
  } else if ((first == '{' || first == '[') && inside == 0) {
    found.value.kind = Value::Kind::container;
    found.value.quoted = quoted;
    found.value.open = found.value.before = first;
  } else {
    return {};
  }
  return found;
}

// 1. What has begun in the piece before.
// 2. The next mark of something, whichever comes first.
// 3. A value that begins there is overwritten, up to its end or that of the piece. What may be the name of
// one
//    is given again, with what follows it.
std::size_t SecretBlanker::blank(char* text, std::size_t size, bool more) {
  constexpr std::size_t kBefore = 32;  // longer than a mark with all that belongs in front of it
  const std::string_view whole(text, size);
  const std::size_t least = size > kMostLeft ? size - kMostLeft : 0;
  // 1.
  std::size_t at = value_ ? pass(text, size, 0, more) : 0;
  std::size_t ended = at;
  // 2.
  struct Mark {
    std::string_view text;
    std::size_t at;
  };
  const std::string_view own = own_mark(withheld_);
  std::vector<Mark> marks{{own, 0}};
  if (is_json_) marks.insert(marks.end(), {{"oken", 0}, {"ecret", 0}});
  for (Mark& mark : marks) mark.at = find_mark(text, at, size, mark.text);
  while (!value_) {
    for (Mark& mark : marks) {
      if (mark.at < at) mark.at = find_mark(text, at, size, mark.text);
    }
    const Mark& mark = *std::min_element(marks.begin(), marks.end(),
                                         [](const Mark& a, const Mark& b) { return a.at < b.at; });
    if (mark.at == size) break;
    // 3.
    Found found;
    if (mark.text == own) {
      found = {Found::What::value, mark.at, {}};
    } else if (begin_of_name(whole, mark.at, withheld_)) {
      found = find_value(whole, mark.at + mark.text.size());
    }
    const std::size_t again = std::max(ended, mark.at > kBefore ? mark.at - kBefore : 0);
    if (found.what == Found::What::unknown && more && again >= least) return again;
    at = mark.at + mark.text.size();
    if (found.what != Found::What::value) continue;
    value_ = std::move(found.value);
    at = ended = pass(text, size, found.begin, more);
  }
  if (value_) return at;
  return more ? std::max(at, size > kBefore ? size - kBefore : 0) : size;
}

/// From `at` on, inside the value. Returns how far that is done: to its end, with which value_ goes, or to
/// that of the piece, but for what is to be given again.
std::size_t SecretBlanker::pass(char* text, std::size_t size, std::size_t at, bool more) {
  while (value_) {
    const bool was_token = value_->kind == Value::Kind::token;
    const bool was_in_string = value_->in_string;
    at = was_token       ? pass_token(text, size, at)
         : was_in_string ? pass_string(text, size, at, more)
                         : pass_between({text, size}, at, more);
    if (value_ && (was_token || value_->in_string == was_in_string)) break;  // no end of it in this piece
  }
  return at;
}

void SecretBlanker::overwrite(char* text, std::size_t begin, std::size_t end) {
  std::fill(text + begin, text + end, kBlank);
  changed_ = changed_ || begin != end;
}

std::size_t SecretBlanker::pass_token(char* text, std::size_t size, std::size_t at) {
  const std::size_t begin = at;
  while (at < size && is_of_token(text[at])) ++at;
  overwrite(text, begin, at);
  if (at < size) value_.reset();
  return at;
}

// Backslashes at the end of a piece belong to what follows them. The end of a line, or of a string around
// this one, is the end of everything: it was cut off.
std::size_t SecretBlanker::pass_string(char* text, std::size_t size, std::size_t at, bool more) {
  constexpr std::size_t kLongestKey = 32;
  Value& value = *value_;
  const std::size_t begin = at;
  std::size_t backslashes = 0;
  const auto ends = [&](char c) { return c == '\n' || (c == '"' && ends_string(backslashes, value.quoted)); };
  for (; at < size && !ends(text[at]); ++at) backslashes = text[at] == '\\' ? backslashes + 1 : 0;
  const std::size_t waiting = more && backslashes < kMostLeft / 2 ? backslashes : 0;
  const std::size_t end = at == size ? size - waiting : at - std::min(backslashes, value.quoted);
  const std::string_view content(text + begin, end - begin);
  // What is kept is looked at as a whole, for a token in it.
  if (at == size && more && value.kept && content.size() < kMostLeft / 2) return begin;
  if (at == size && more) value.kept = false;
  if (value.is_key) value.key += content.substr(0, kLongestKey - std::min(kLongestKey, value.key.size()));
  if (!value.kept || content.find(own_mark(withheld_)) != std::string_view::npos) overwrite(text, begin, end);
  if (at == size) return end;
  if (text[at] == '\n' || backslashes < value.quoted) {
    value_.reset();
    return at;
  }
  value.in_string = false;
  if (value.open.empty()) value_.reset();
  return at + 1;
}

// The brackets, and the beginning of the next string: whether it is a name, and what it is a name of.
std::size_t SecretBlanker::pass_between(std::string_view text, std::size_t at, bool more) {
  constexpr std::size_t kDeepest = 500;  // from here on they are not counted: all that follows is a secret
  Value& value = *value_;
  std::size_t backslashes = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '\\') {
      ++backslashes;
      continue;
    }
    const bool too_deep = value.open.size() == kDeepest;
    if (c == '"' && backslashes < value.quoted) {  // of the string around it, which was cut off
      value_.reset();
      return at;
    }
    if (c == '"') {
      value.is_key = !too_deep && value.open.back() == '{' && value.before != ':';
      value.kept = value.is_key || (!too_deep && value.before == ':' && is_description(value.key));
      if (value.is_key) value.key.clear();
      value.in_string = true;
      return at + 1;
    }
    backslashes = 0;
    if (c == ',' || c == ':') value.before = c;
    if ((c == '{' || c == '[') && !too_deep) value.open += value.before = c;
    if ((c == '}' || c == ']') && !too_deep) {
      value.open.pop_back();
      value.before = c;
    }
    if (value.open.empty()) {
      value_.reset();
      return at + 1;
    }
  }
  return text.size() - (more && backslashes < kMostLeft ? backslashes : 0);
}

void blank_secrets(char* text, std::size_t size, Withheld withheld) {
  static_cast<void>(SecretBlanker(begins_as_json({text, size}), withheld).blank(text, size, false));
}

std::string with_secrets_blanked(std::string_view text, Withheld withheld) {
  std::string blanked(text);
  blank_secrets(blanked.data(), blanked.size(), withheld);
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
