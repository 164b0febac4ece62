#include <fmt/format.h>

#include "options/help.h"
#include "reference.h"

namespace claude_init::reference {
namespace {

using options::Option;
using options::Page;

constexpr std::string_view kHead =
    R"(<!-- Written by `cmake --build build/dev --target reference` from src/options: change it there. -->
# Command line

`claude-init SUBCOMMAND [OPTIONS] [--] [COMMAND...]`. `claude-init SUBCOMMAND --help` prints what one needs in the first
hour, `--help-all` every option, as here. `claude-init --version` (`-V`) prints the version.

- If COMMAND begins with `-`, claude-init puts `claude` before it.
- Each option has a variable: `--some-name` is `CLAUDE_INIT_SOME_NAME`. The command line wins.
- In a variable, separate the values of a repeatable option by commas.
- A variable that resembles one of ours (`CLAUDE_INIT_STROE`) triggers a warning.
- A TIME is a number with a unit: `500ms`, `5s`, `2m` (or `2min`), `1h`, `7d`, `1.5h`. A number alone is seconds. For
  `--wait-login` and `--until-login` only, `1` means without a limit and `0` means no.
- A SIZE is `500M`, `16G`, `1T`, each prefix 1024 times the one before. A number alone is bytes.
- WORDS are separated by blanks; claude-init interprets no quotes.
- [Exit statuses](exit-statuses.md) lists the statuses.

The entrypoints of the images are `claude-init run --` and `claude-init setup --`. After the image's name you can type:

- a command: `claude-runtime bash -c 'claude --version'`
- options of Claude Code: `claude-runtime --print hi`
- options of claude-init, which come first: `claude-runtime --copy=login --print hi` (all but `--help`)
- a subcommand: `claude-runtime health`, unless the image has a program of that name

claude-init drops a further `--`.

)";

std::string cell(std::string_view text) {
  return replaced(std::string(text), "|", "\\|");
}

/// A value as code, words as they are.
std::string default_of(const Option& option) {
  const std::string_view fallback = option.text.fallback;
  if (fallback.empty()) return "";
  return fallback.find(' ') == std::string_view::npos ? fmt::format("`{}`", fallback) : cell(fallback);
}

std::string example_of(const Option& option) {
  const std::string_view example = option.text.example;
  return example.empty() ? "" : fmt::format("`{} {}`", option.name, cell(example));
}

std::string row_of(const Option& option) {
  const std::string name =
      option.short_name.empty() ? option.usage() : fmt::format("{}, {}", option.short_name, option.usage());
  return fmt::format("| `{}` | {}{} | {} | {} |\n", cell(name), cell(option.text.help),
                     option.repeatable ? "; repeatable" : "", default_of(option), example_of(option));
}

std::string section_of(const Page& page) {
  const auto all = options::options_of(page.name);
  std::string text = fmt::format("## claude-init {}\n\n{}\n\n```sh\n", page.name, page.description);
  for (const auto& example : page.examples) text += fmt::format("{}  # {}\n", example.line, example.what);
  text += "```\n\n";
  for (const std::string_view topic : options::topics_of(all)) {
    text += fmt::format("**{}**\n\n| option | meaning | default | example |\n|---|---|---|---|\n", topic);
    for (const Option& option : all) {
      if (option.topic == topic) text += row_of(option);
    }
    text += '\n';
  }
  text += "See also:";
  for (const std::string_view& at : page.see_also) {
    const std::string_view target = at.starts_with("reference/") ? at.substr(10) : at;
    text += fmt::format("{} [{}]({}{})", &at == &page.see_also.front() ? "" : ",",
                        at.substr(0, at.size() - 3), target.size() == at.size() ? "../" : "", target);
  }
  return text + ".\n\n";
}

}  // namespace

std::string markdown() {
  std::string text(kHead);
  text += "| subcommand | what it is for |\n|---|---|\n";
  for (const Page& page : options::pages())
    text += fmt::format("| [`{0}`](#claude-init-{0}) | {1} |\n", page.name, page.summary);
  text += '\n';
  for (const Page& page : options::pages()) text += section_of(page);
  text.pop_back();
  return text;
}

}  // namespace claude_init::reference
