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
#include "options/definitions.h"

/// How an option of each type is declared, with its variable and what a wrong value is refused with. For
/// definitions.cpp and groups.cpp.
namespace claude_init::options {

/// Notes how people read it; `option` is the one that was added last.
inline Option& describe(Definitions& to, CLI::Option* option, const Text& text) {
  option->envname(variable_of(option->get_name()));
  to.options.push_back(Option{.name = option->get_name(), .topic = to.topic, .text = text});
  return to.options.back();
}

/// An option whose text `set` turns into a value; what `set` refuses is refused with its remedy. `value`:
/// what stands behind it, "DIR".
inline CLI::Option* add(Definitions& to, const std::string& name, const char* value, const Text& text,
                        std::function<Result<void>(const std::string&)> set) {
  auto* option =
      to.app.add_option_function<std::string>(name, [name, set = std::move(set)](const std::string& given) {
        const auto done = set(given);
        if (!done) throw CLI::ValidationError(name, done.error().message() + "; " + done.error().remedy);
      });
  describe(to, option, text).value = value;
  return option->type_name(value);
}

inline void add_text(Definitions& to, const std::string& name, const char* value, std::string& target,
                     const Text& text, Completes completes = Completes::nothing) {
  add(to, name, value, text, [&target](const std::string& given) {
    target = given;
    return Result<void>();
  });
  to.options.back().completes = completes;
}

/// An option that may be given several times; as a variable, the words are separated by commas.
inline void add_list(Definitions& to, const std::string& name, const char* value,
                     std::vector<std::string>& target, const Text& text,
                     Completes completes = Completes::nothing) {
  auto* option = to.app.add_option(name, target);
  Option& described = describe(to, option, text);
  described.value = value;
  described.repeatable = true;
  described.completes = completes;
  option->delimiter(',')->expected(1)->take_all()->type_name(value);
}

/// Its value has no validator: since 2.4, CLI11 passes over a variable that one refuses. parse.cpp says what
/// to write where it is no truth value.
inline void add_flag(Definitions& to, const std::string& name, bool& target, const Text& text) {
  describe(to, to.app.add_flag(name, target), text);
}

/// `target`: Milliseconds, or those that may be left out.
template <class Duration>
void add_duration(Definitions& to, const std::string& name, Duration& target, const Text& text) {
  add(to, name, "TIME", text, [&target](const std::string& given) -> Result<void> {
    const auto parsed = parse_duration(given);
    if (!parsed) return parsed.error();
    target = *parsed;
    return Done{};
  });
}

/// An option with a few words to choose from.
template <class T>
void add_choice(Definitions& to, const std::string& name, T& target,
                std::vector<std::pair<std::string_view, T>> choices, const Text& text) {
  std::vector<std::string> words;
  std::string shown;
  for (const auto& [word, value] : choices) {
    words.emplace_back(word);
    shown += (shown.empty() ? "" : "|") + words.back();
  }
  add(to, name, shown.c_str(), text,
      [&target, choices = std::move(choices)](const std::string& given) -> Result<void> {
        std::string legal;
        for (const auto& [word, value] : choices) {
          if (given == word) {
            target = value;
            return Done{};
          }
          legal += (legal.empty() ? "" : " or ") + std::string(word);
        }
        return make_error(ErrorKind::usage, fmt::format("'{}' is not possible", given), "write " + legal);
      });
  to.options.back().words = std::move(words);
}

/// A whole number from `least` to `most`.
template <class Number>
void add_number(Definitions& to, const std::string& name, Number& target, Number least, Number most,
                const Text& text) {
  add(to, name, "N", text, [&target, least, most](const std::string& given) -> Result<void> {
    Number value = 0;
    if (!read_number(given, value) || value < least || value > most) {
      return make_error(ErrorKind::usage, fmt::format("'{}' is not possible", given),
                        fmt::format("write a whole number from {} to {}", least, most));
    }
    target = value;
    return Done{};
  });
}

}  // namespace claude_init::options
