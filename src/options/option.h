#pragma once

#include <string>
#include <string_view>
#include <vector>

/// The options as people and shells read them. `--help`, docs/reference/cli.md, the man pages and the
/// completions are all made of this (tools/reference).
namespace claude_init::options {

/// What a shell offers for a value that is none of a few words.
enum class Completes { nothing, directory, file, user, signal, command };

/// What people read of an option. `help`: what it does, a phrase without a full stop at the end.
struct Text {
  const char* help;
  const char* fallback = "";  // what holds without it; "" = it is off, or there is nothing to say
  const char* example = "";   // a value, as it is typed; "" = the legal values say it
};

struct Option {
  std::string name;                  // "--store"
  std::string short_name{};          // "-h"; "" for all of ours
  std::string value{};               // what stands behind it: "DIR", "auto|never"; "" = it is a flag
  std::vector<std::string> words{};  // the legal values, where they are few
  bool value_may_be_left_out = false;
  bool repeatable = false;
  Completes completes = Completes::nothing;
  std::string_view topic{};
  bool early = false;  // one of those that one needs in the first hour
  Text text{};

  /// "--store DIR", "--wait-login[=TIME]"; for --help its short name too.
  [[nodiscard]] std::string usage() const;
};

/// "--stop-timeout" → "CLAUDE_INIT_STOP_TIMEOUT".
[[nodiscard]] std::string variable_of(std::string_view option);

struct Example {
  std::string_view line;
  std::string_view what;  // what it does, a phrase
};

/// A subcommand as people read it.
struct Page {
  std::string_view name;
  std::string_view summary;      // one line, an imperative
  std::string_view description;  // paragraphs, separated by empty lines
  std::string_view command;      // what it takes behind its options; "" = nothing
  std::vector<Example> examples;
  std::vector<std::string_view> see_also;  // pages of docs/
};

/// In the order in which one meets them.
[[nodiscard]] const std::vector<Page>& pages();
/// nullptr: there is no such subcommand.
[[nodiscard]] const Page* page_of(std::string_view subcommand);

/// All options of a subcommand; none if there is no such.
[[nodiscard]] std::vector<Option> options_of(std::string_view subcommand);

}  // namespace claude_init::options
