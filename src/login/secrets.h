#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

/// What is a secret that must not leave the place where a login is renewed, wherever and by whatever name it
/// is kept: what gets new tokens (refresh tokens, client secrets) as against what is used up with its
/// deadline (access tokens). Pure.
namespace claude_init::login {

/// What of a state its readers do not get.
enum class Withheld {
  refresh_tokens,  // what gets new tokens
  all_tokens,      // that, and what is sent with requests: for jobs behind the gateway (placeholder.h)
};

/// Whether a member of this name holds such a secret, in a file of logins: refreshToken, client_secret,
/// idToken, somePassword, … in any spelling.
[[nodiscard]] bool names_secret(std::string_view key);

/// Whether a refresh token of the CLI's own stands in this text.
[[nodiscard]] bool holds_refresh_token(std::string_view text);

/// Whether a file of this name is, or may be, a copy of a login: `.credentials.json.bak`,
/// `old.credentials.json`, `credentials.json`, … `.credentials.json` itself too.
[[nodiscard]] bool is_credentials_name(std::string_view name);

/// Overwrites secrets in a text with as many `x`, so that it keeps its size and, if it is JSON, its
/// structure: the CLI's refresh tokens anywhere, and, where it is JSON or lines of it, the values of
/// `"refreshToken"`, `"client_secret"` and their like, also quoted once more. Of a value that is an object or
/// an array every string in it, but for what describes the value (`"type"`, `"description"`, …). Not those
/// that are written in capitals only, which are a person's variables. `all_tokens`: also Anthropic's keys and
/// access tokens anywhere, and the values of `"accessToken"` and its like. The text is given piece by piece,
/// of any length together.
class SecretBlanker {
 public:
  explicit SecretBlanker(bool is_json, Withheld withheld = Withheld::refresh_tokens)
      : is_json_(is_json), withheld_(withheld) {}

  /// The next piece, after which `more` comes. Returns how much of its beginning is done; the rest is to be
  /// given again, in front of what comes. Never less than size() - kMostLeft.
  [[nodiscard]] std::size_t blank(char* text, std::size_t size, bool more);
  static constexpr std::size_t kMostLeft = std::size_t{64} << 10;

  /// Whether anything was overwritten since this was last asked.
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }

 private:
  /// What is being overwritten, where the pieces so far have not had its end.
  struct Value {
    enum class Kind { token, string, container } kind = Kind::token;
    std::size_t quoted = 0;  // backslashes in front of each of its quotes
    bool in_string = false;
    bool kept = false;      // that string
    bool is_key = false;    // likewise
    std::string key = {};   // the last one, as far as it counts
    char before = '\0';     // the last sign between strings
    std::string open = {};  // brackets
  };
  struct Found;
  [[nodiscard]] static Found find_value(std::string_view text, std::size_t at);
  void overwrite(char* text, std::size_t begin, std::size_t end);
  std::size_t pass(char* text, std::size_t size, std::size_t at, bool more);
  std::size_t pass_token(char* text, std::size_t size, std::size_t at);
  std::size_t pass_string(char* text, std::size_t size, std::size_t at, bool more);
  std::size_t pass_between(std::string_view text, std::size_t at, bool more);

  bool is_json_;
  Withheld withheld_;
  bool changed_ = false;
  std::optional<Value> value_;
};

/// The same of a whole text, in place or of a copy of it.
void blank_secrets(char* text, std::size_t size, Withheld withheld);
[[nodiscard]] std::string with_secrets_blanked(std::string_view text,
                                               Withheld withheld = Withheld::refresh_tokens);

/// Whether a text that begins so is JSON, or lines of JSON.
[[nodiscard]] bool begins_as_json(std::string_view text);

}  // namespace claude_init::login
