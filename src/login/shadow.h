#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// What makes the CLI use another login than the stored one, as seen with 2.1.332. Pure.
namespace claude_init::login {

/// The environment variables that do. `get` looks a name up ("" if unset).
[[nodiscard]] std::vector<std::string> shadowing_variables(
    const std::function<std::string_view(std::string_view)>& get);

/// Whose settings a file has: what a project may set is less.
enum class Settings { user, managed, project };

/// What in a settings file does: "apiKeyHelper", "env.NAME". None where it cannot be parsed.
[[nodiscard]] std::vector<std::string> shadowing_settings(std::string_view text, Settings whose);

/// Whether the CLI says so itself in what it wrote.
[[nodiscard]] bool says_shadowed(std::string_view words);

}  // namespace claude_init::login
