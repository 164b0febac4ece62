#include "options/help.h"

#include <fmt/format.h>

#include <algorithm>

namespace claude_init::options {
namespace {

/// `text` in lines that end at kHelpWidth, broken at blanks. It begins in column `indent`, and so does each
/// line.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string out;
  std::size_t column = indent;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    // A letter of more than one byte counts as that many: lines are shorter then, never longer.
    if (column > indent && column + 1 + word.size() > kHelpWidth) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// "  left   right", with `right` in a column of its own; a left side that fills its column has a line of its
/// own.
std::string row(const std::string& left, std::string_view right, std::size_t column) {
  std::string line = "  " + left;
  const bool fits = line.size() + 2 <= column;
  line += fits ? std::string(column - line.size(), ' ') : '\n' + std::string(column, ' ');
  return line + wrapped(right, column) + '\n';
}

constexpr std::size_t kOptionColumn = 28;

std::string row_of(const Option& option) {
  std::string help = with_default(option.text);
  if (option.repeatable) help += " (repeatable)";
  const std::string left = (option.short_name.empty() ? "" : option.short_name + ", ") + option.usage();
  return row(left, help, kOptionColumn);
}

std::string paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n\n"), text.size());
    out += wrapped(text.substr(0, end), 0) + "\n\n";
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return out;
}

std::string examples_of(const Page& page) {
  std::string out = "Examples:\n";
  for (const Example& example : page.examples)
    out += fmt::format("  {}\n      {}\n", example.line, example.what);
  return out + '\n';
}

}  // namespace

std::string with_default(const Text& text) {
  const std::string_view fallback = text.fallback;
  if (fallback.empty()) return text.help;
  const bool is_value = fallback.find(' ') == std::string_view::npos;
  return fmt::format("{} (default{} {})", text.help, is_value ? "" : ":", fallback);
}

std::vector<std::string_view> topics_of(const std::vector<Option>& options) {
  std::vector<std::string_view> topics;
  for (const Option& option : options) {
    if (std::find(topics.begin(), topics.end(), option.topic) == topics.end()) topics.push_back(option.topic);
  }
  return topics;
}

std::string usage() {
  std::string text =
      "claude-init - one Claude login, any number of containers\n\n"
      "Usage: claude-init SUBCOMMAND [OPTIONS] [--] [COMMAND...]\n\n";
  for (const Page& page : pages()) text += row(std::string(page.name), page.summary, 11);
  return text + '\n' +
         paragraphs(
             "If COMMAND begins with \"-\", claude-init puts `claude` before it. The variable "
             "CLAUDE_INIT_SOME_NAME sets the option --some-name.\n\n"
             "'claude-init SUBCOMMAND --help' (-h, or 'claude-init help SUBCOMMAND') lists what one needs in "
             "the "
             "first hour, '--help-all' every option. 'claude-init --version' (-V) prints the version.");
}

std::string help_on(const Page& page, const std::vector<Option>& options, Extent extent) {
  std::string text = fmt::format(
      "claude-init {} - {}\n\nUsage: claude-init {} [OPTIONS]{}\n\n{}", page.name, page.summary, page.name,
      page.command.empty() ? "" : " [--] " + std::string(page.command), paragraphs(page.description));
  if (extent == Extent::early) {
    text += "Options:\n";
    for (const Option& option : options) {
      if (option.early) text += row_of(option);
    }
    const auto others =
        std::count_if(options.begin(), options.end(), [](const Option& o) { return !o.early; });
    text += fmt::format("\n'claude-init {} --help-all' lists {} more.\n\n", page.name, others);
  } else {
    for (const std::string_view topic : topics_of(options)) {
      text += fmt::format("{}:\n", topic);
      for (const Option& option : options) {
        if (option.topic == topic) text += row_of(option);
      }
      text += '\n';
    }
  }
  return text + examples_of(page) +
         "Each option has a variable: --some-name is CLAUDE_INIT_SOME_NAME. The command line wins.\n";
}

}  // namespace claude_init::options
