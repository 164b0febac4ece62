#include "log/redact.h"

#include <array>
#include <cstddef>

namespace claude_init::log {
namespace {

constexpr std::string_view kReplacement = "[redacted]";

bool is_token_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~' || c == '+' || c == '/' || c == '=';
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool starts_with_nocase(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    if (lower(text[i]) != prefix[i]) return false;
  }
  return true;
}

bool names_a_credential(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kEndings{
      "token", "secret", "password", "apikey", "api_key", "_key", "authorization", "credential"};
  for (const auto ending : kEndings) {
    if (name.size() >= ending.size() &&
        starts_with_nocase(name.substr(name.size() - ending.size()), ending)) {
      return true;
    }
  }
  return false;
}

/// Our own option and the words that it takes: what a person is told to type has to be readable.
bool is_our_option(std::string_view name, std::string_view value) {
  return name == "--refresh-token" && (value == "copy" || value == "withhold");
}

std::size_t token_length(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && is_token_char(text[n])) ++n;
  return n;
}

/// The name that ends just before `end` in `text`, e.g. the key before `":"` or `=`.
std::string_view name_before(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && is_name_char(text[begin - 1])) --begin;
  return text.substr(begin, end - begin);
}

/// Length of a quoted value whose opening quote (possibly `\"`, JSON inside JSON) has been passed: up to the
/// next quote or the end.
std::size_t quoted_length(std::string_view text) {
  std::size_t n = 0;
  while (n < text.size() && text[n] != '"') ++n;
  // The backslash of `\"` belongs to the quote, not to the value.
  while (n > 0 && n < text.size() && text[n - 1] == '\\') --n;
  return n;
}

}  // namespace

std::string redact(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::size_t i = 0;
  while (i < text.size()) {
    const std::string_view rest = text.substr(i);
    if (starts_with_nocase(rest, "sk-ant-")) {
      out += kReplacement;
      i += token_length(rest);
      continue;
    }
    if (starts_with_nocase(rest, "bearer ")) {
      out += rest.substr(0, 7);
      i += 7;
      if (const std::size_t n = token_length(text.substr(i)); n > 0) {
        out += kReplacement;
        i += n;
      }
      continue;
    }
    // NAME"…:…"VALUE" (JSON, also escaped) and NAME=VALUE.
    if (rest[0] == '"' || rest[0] == '\\' || rest[0] == '=') {
      const std::string_view name = name_before(text, i);
      if (names_a_credential(name)) {
        std::size_t j = i;
        if (rest[0] == '=') {
          ++j;
          // A value that was in quotes has backslashes before them, one or more by how often it was quoted
          // since.
          std::size_t quote = j;
          while (quote < text.size() && text[quote] == '\\') ++quote;
          if (quote < text.size() && text[quote] == '"') j = quote + 1;
        } else {
          while (j < text.size() && (text[j] == '"' || text[j] == '\\' || text[j] == ':' || text[j] == ' '))
            ++j;
        }
        const std::string_view separator = text.substr(i, j - i);
        const bool quoted = !separator.empty() && separator.back() == '"';
        const bool is_assignment = rest[0] == '=' || separator.find(':') != std::string_view::npos;
        const std::size_t n = quoted ? quoted_length(text.substr(j)) : token_length(text.substr(j));
        // true, false, null and numbers are no secrets ("token": null), nor is an empty value.
        if (is_assignment && (quoted || rest[0] == '=') && n > 0 && !is_our_option(name, text.substr(j, n))) {
          out += separator;
          out += kReplacement;
          i = j + n;
          continue;
        }
      }
    }
    out += text[i++];
  }
  return out;
}

}  // namespace claude_init::log
