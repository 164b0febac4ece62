#pragma once

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Validators.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/text.h"
#include "base/time.h"

/// How an option of each type is declared, with its variable and what a wrong value is refused with. For
/// definitions.cpp.
namespace claude_init::options {

/// "--stop-timeout" → "CLAUDE_INIT_STOP_TIMEOUT".
inline std::string variable_of(std::string_view option) {
  std::string name = "CLAUDE_INIT_";
  for (const char c : option.substr(option.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

/// An option whose text `set` turns into a value; what `set` refuses is refused with its remedy.
inline CLI::Option* add(CLI::App& app, const std::string& name, const std::string& help,
                        std::function<Result<void>(const std::string&)> set) {
  auto* option = app.add_option_function<std::string>(
      name,
      [name, set = std::move(set)](const std::string& text) {
        const auto done = set(text);
        if (!done) throw CLI::ValidationError(name, done.error().message() + "; " + done.error().remedy);
      },
      help);
  return option->envname(variable_of(name))->type_name("WORD");
}

inline CLI::Option* add_text(CLI::App& app, const std::string& name, std::string& target,
                             const std::string& help) {
  return add(app, name, help, [&target](const std::string& text) {
    target = text;
    return Result<void>();
  });
}

/// What CLI11 does not take for a truth value would be refused by it without what to write.
inline std::string check_flag(const std::string& text) {
  bool value = false;
  if (CLI::detail::lexical_cast(text, value)) return "";
  return fmt::format("'{}' is not possible; write 1 or 0 (true or false, yes or no, on or off)", text);
}

inline CLI::Option* add_flag(CLI::App& app, const std::string& name, bool& target, const std::string& help) {
  return app.add_flag(name, target, help)->check(CLI::Validator(check_flag, ""))->envname(variable_of(name));
}

/// `target`: Milliseconds, or those that may be left out.
template <class Duration>
CLI::Option* add_duration(CLI::App& app, const std::string& name, Duration& target, const std::string& help) {
  return add(app, name, help,
             [&target](const std::string& text) -> Result<void> {
               const auto parsed = parse_duration(text);
               if (!parsed) return parsed.error();
               target = *parsed;
               return Done{};
             })
      ->type_name("TIME");
}

/// An option with a few words to choose from.
template <class T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& target,
                        std::vector<std::pair<std::string_view, T>> choices, const std::string& help) {
  return add(
      app, name, help, [&target, choices = std::move(choices)](const std::string& text) -> Result<void> {
        std::string words;
        for (const auto& [word, value] : choices) {
          if (text == word) {
            target = value;
            return Done{};
          }
          words += (words.empty() ? "" : " or ") + std::string(word);
        }
        return make_error(ErrorKind::usage, fmt::format("'{}' is not possible", text), "write " + words);
      });
}

}  // namespace claude_init::options
