#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What is known of the Claude CLI's versions, each measured by tests/versions against a stand-in for the
/// servers. The only place in `src` that names one. Pure.
namespace claude_init::cli {

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;
  auto operator<=>(const Version&) const = default;
};

/// The version at the start of what `claude --version` prints: "2.1.332 (Claude Code)".
[[nodiscard]] std::optional<Version> parse_version(std::string_view text);
[[nodiscard]] std::string text_of(const Version& version);

/// Whether tests/versions ran with exactly this one (src/cli/versions).
[[nodiscard]] bool is_tested(const Version& version);
/// "2.1.332 (tested)", "2.1.400 (newer than those tested)", "2.1.199 (not tested)".
[[nodiscard]] std::string described(const Version& version);

/// What renews a login on every version: a request, for which the CLI needs a valid token, so it cannot end
/// before the new one is saved. The request itself goes nowhere and costs nothing: no system connects to that
/// address (RFC 1122, 4.2.3.10), so nobody can listen there either.
[[nodiscard]] std::vector<std::string> renewing_command();

/// The words of a command: NAME=VALUE in front, as in a shell or behind `env`, then the program and its
/// arguments.
struct Words {
  std::vector<std::string> variables;
  std::vector<std::string> argv;  // empty where there are variables only
};
[[nodiscard]] Words split(const std::vector<std::string>& words);

/// Whether the command is the CLI by its name; another one cannot be asked for its version, nor judged.
[[nodiscard]] bool is_claude(const std::vector<std::string>& words);

/// Why a command must not renew a login with that version.
struct Flaw {
  enum class Kind {
    burns,        // ends before the new token is saved, which costs the login
    asks_nobody,  // ends without asking the server
  };
  Kind kind = Kind::burns;
  std::string words;            // the CLI's arguments that the flaw belongs to: "auth status"
  std::optional<Version> good;  // from which on it renews; nothing: none is known
};
[[nodiscard]] std::optional<Flaw> flaw_of(const std::vector<std::string>& words, const Version& version);

/// Whether this version blanks the stored login when the server rejects its refresh token. One that does not
/// looks the same then as without an answer.
[[nodiscard]] bool tells_rejection(const Version& version);

/// What the older of two versions lacks that a renewal can need, for somebody who has both: "2.1.100 does not
/// tell a rejected login from no answer". "" where none was measured to differ in that.
[[nodiscard]] std::string what_older_lacks(const Version& one, const Version& other);

}  // namespace claude_init::cli
