#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace claude_init::options {

/// The variable of --login-command: all that people are told looks at it (main.cpp sets it for the option).
inline constexpr const char* kLoginCommand = "CLAUDE_INIT_LOGIN_COMMAND";

/// The environment we were started with, read once: nothing below the command line looks at getenv.
class Environment {
 public:
  explicit Environment(const char* const* variables);

  /// The value, "" if unset.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const;

  /// NAME=VALUE, for a child. `set` replaces or adds, `unset` removes.
  [[nodiscard]] const std::vector<std::string>& variables() const { return variables_; }
  void set(std::string_view name, std::string_view value);
  void unset(std::string_view name);

 private:
  std::vector<std::string> variables_;
};

}  // namespace claude_init::options
