#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "reference.h"

namespace claude_init::reference {
namespace {

using options::Completes;
using options::Option;
using options::Page;

constexpr std::string_view kHead =
    "# Written by `cmake --build build/dev --target reference` from src/options: change it there.\n";

bool takes_value(const Option& option) {
  return !option.value.empty();
}

/// For a shell, between single quotes.
std::string in_quotes(std::string_view text) {
  return '\'' + replaced(std::string(text), "'", "'\\''") + '\'';
}

std::vector<std::string_view> subcommand_names() {
  std::vector<std::string_view> names;
  for (const Page& page : options::pages()) names.push_back(page.name);
  return names;
}

std::vector<std::string_view> with_command() {
  std::vector<std::string_view> names;
  for (const Page& page : options::pages()) {
    if (!page.command.empty()) names.push_back(page.name);
  }
  return names;
}

/// What bash offers for a value; "" = nothing.
std::string bash_action(const Option& option) {
  if (!option.words.empty()) return fmt::format("_claude_init_offer -W '{}'", fmt::join(option.words, " "));
  switch (option.completes) {
    case Completes::directory:
      return "compopt -o filenames; _claude_init_offer -d";
    case Completes::file:
      return "compopt -o filenames; _claude_init_offer -f";
    case Completes::user:
      return "_claude_init_offer -u";
    case Completes::signal:
      return "_claude_init_offer -A signal";
    case Completes::command:
      return "_claude_init_offer -c";
    case Completes::nothing:
      break;
  }
  return "";
}

/// The names of a subcommand's options, and of those with a value.
std::string bash_names(const Page& page) {
  std::vector<std::string> names;
  std::vector<std::string> valued;
  for (const Option& option : options::options_of(page.name)) {
    names.push_back(option.name);
    if (!option.short_name.empty()) names.push_back(option.short_name);
    if (takes_value(option) && !option.value_may_be_left_out) valued.push_back(option.name);
  }
  return fmt::format("    {})\n      options='{}'\n      valued='{}'\n      ;;\n", page.name,
                     fmt::join(names, " "), fmt::join(valued, " "));
}

std::string bash_values(const Page& page) {
  std::string text = fmt::format("    {})\n      case $option in\n", page.name);
  for (const Option& option : options::options_of(page.name)) {
    const std::string action = bash_action(option);
    if (!action.empty()) text += fmt::format("        {}) {} ;;\n", option.name, action);
  }
  return text + "      esac\n      ;;\n";
}

/// What zsh does for a value.
std::string zsh_action(const Option& option) {
  if (!option.words.empty()) return fmt::format("({})", fmt::join(option.words, " "));
  switch (option.completes) {
    case Completes::directory:
      return "_files -/";
    case Completes::file:
      return "_files";
    case Completes::user:
      return "_users";
    case Completes::signal:
      return "_signals";
    case Completes::command:
      return "_command_names";
    case Completes::nothing:
      break;
  }
  return " ";
}

std::string zsh_text(std::string_view text) {
  std::string out = replaced(std::string(text), "\\", "\\\\");
  for (const std::string_view special : {"[", "]", ":"})
    out = replaced(out, special, fmt::format("\\{}", special));
  return out;
}

std::string zsh_spec(const Option& option) {
  std::string spec = option.repeatable ? "*" : "";
  spec += option.name;
  if (takes_value(option)) spec += option.value_may_be_left_out ? "=-" : "=";
  spec += fmt::format("[{}]", zsh_text(option.text.help));
  if (takes_value(option))
    spec += fmt::format("{}{}:{}", option.value_may_be_left_out ? "::" : ":", zsh_text(option.value),
                        zsh_action(option));
  return in_quotes(spec);
}

std::string fish_action(const Option& option) {
  if (!option.words.empty()) return fmt::format(" -x -a '{}'", fmt::join(option.words, " "));
  switch (option.completes) {
    case Completes::directory:
      return " -x -a '(__fish_complete_directories)'";
    case Completes::file:
      return " -r";
    case Completes::user:
      return " -x -a '(__fish_complete_users)'";
    case Completes::signal:
      return " -x -a 'HUP INT QUIT TERM USR1 USR2 KILL'";
    case Completes::command:
      return " -x -a '(__fish_complete_command)'";
    case Completes::nothing:
      break;
  }
  return takes_value(option) && !option.value_may_be_left_out ? " -x" : "";
}

std::string fish_text(std::string_view text) {
  return '\'' + replaced(replaced(std::string(text), "\\", "\\\\"), "'", "\\'") + '\'';
}

}  // namespace

std::string bash_completion() {
  std::string names;
  std::string values;
  for (const Page& page : options::pages()) {
    names += bash_names(page);
    values += bash_values(page);
  }
  std::string text = R"(# bash completion for claude-init. Needs no other package.
)" + std::string(kHead) +
                     R"(
# _claude_init_offer COMPGEN-WORDS...
_claude_init_offer() { mapfile -t COMPREPLY < <(compgen "$@" -- "$current"); }

_claude_init() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local subcommand=${COMP_WORDS[1]} option='' options='' valued='' i
  COMPREPLY=()
  if [[ $COMP_CWORD == 1 ]]; then
    _claude_init_offer -W '@NAMES@ help --help --version'
    return
  fi
  if [[ $subcommand == help ]]; then
    [[ $COMP_CWORD != 2 ]] || _claude_init_offer -W '@NAMES@'
    return
  fi
  case $subcommand in
@OPTIONS@    *) return ;;
  esac

  # Where the command begins: behind "--", or at the first word that is no option and no value of one. The shell takes
  # --name=value apart, into three words.
  for ((i = 2; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) ((i++)); break ;;
      -*)
        if [[ ${COMP_WORDS[i + 1]} == '=' ]]; then
          ((i += 2))
        elif [[ " $valued " == *" ${COMP_WORDS[i]} "* ]]; then
          ((i++))
        fi
        while [[ ${COMP_WORDS[i + 1]} == '=' ]]; do ((i += 2)); done  # --store NAME=DIR
        ;;
      *) break ;;
    esac
  done
  local begun=0
  if ((i < COMP_CWORD)) || [[ $i == "$COMP_CWORD" && ${COMP_WORDS[i - 1]} == -- ]]; then begun=1; fi
  case $subcommand in
    @WITH_COMMAND@) [[ $i != "$COMP_CWORD" || -z $current || $current == -* ]] || begun=1 ;;
    *) [[ $begun == 0 ]] || return ;;
  esac
  if [[ $begun == 1 ]]; then
    if [[ $i == "$COMP_CWORD" ]]; then
      _claude_init_offer -c
    elif declare -F _command_offset >/dev/null; then
      _command_offset "$i"
    else
      compopt -o filenames
      _claude_init_offer -f
    fi
    return
  fi

  # The option whose value this is.
  if [[ $current == '=' ]]; then
    option=$previous current=''
  elif [[ $previous == '=' ]]; then
    option=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $option != -* && ${COMP_WORDS[COMP_CWORD - 3]} == '=' ]]; then
      option=${COMP_WORDS[COMP_CWORD - 4]}
    elif [[ $option != -* ]]; then
      option=${COMP_WORDS[COMP_CWORD - 3]}
    fi
  elif [[ " $valued " == *" $previous "* ]]; then
    option=$previous
  fi
  if [[ -z $option ]]; then
    _claude_init_offer -W "$options"
    return
  fi
  case $subcommand in
@VALUES@  esac
}
complete -F _claude_init claude-init
)";
  text = replaced(text, "@NAMES@", fmt::format("{}", fmt::join(subcommand_names(), " ")));
  text = replaced(text, "@WITH_COMMAND@", fmt::format("{}", fmt::join(with_command(), " | ")));
  text = replaced(text, "@OPTIONS@", names);
  return replaced(text, "@VALUES@", values);
}

std::string zsh_completion() {
  std::string text = "#compdef claude-init\n" + std::string(kHead) + R"(
local context curcontext="$curcontext" state line
typeset -A opt_args
local -a subcommands=(
)";
  for (const Page& page : options::pages())
    text += fmt::format("  {}\n", in_quotes(fmt::format("{}:{}", page.name, page.summary)));
  text += R"(  'help:explain a subcommand'
)

_arguments -C \
  '(- *)'{-h,--help}'[list the subcommands]' \
  '(- *)'{-V,--version}'[print the version]' \
  '1:subcommand:->subcommand' \
  '*::argument:->argument' && return

case $state in
  subcommand) _describe -t subcommands subcommand subcommands ;;
  argument)
    case $words[1] in
      help) _describe -t subcommands subcommand subcommands ;;
)";
  for (const Page& page : options::pages()) {
    text += fmt::format("      {})\n        _arguments -S -A '-*'", page.name);
    for (const Option& option : options::options_of(page.name)) text += " \\\n          " + zsh_spec(option);
    if (!page.command.empty()) text += " \\\n          '*:::command:_normal'";
    text += "\n        ;;\n";
  }
  return text + "    esac\n    ;;\nesac\n";
}

std::string fish_completion() {
  std::string text = "# fish completion for claude-init.\n" + std::string(kHead) + R"(
# Whether this subcommand was typed, and its command not yet.
function __claude_init_is
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test "$words[2]" = $argv[1]; and not contains -- -- $words
end

# Completions of the command behind "--".
function __claude_init_command
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -l command $words[(math $at + 1)..-1]
    complete -C (string join ' ' -- (string escape -- $command) (commandline -ct))
end

complete -c claude-init -f
)";
  for (const Page& page : options::pages())
    text += fmt::format("complete -c claude-init -n __fish_use_subcommand -a {} -d {}\n", page.name,
                        fish_text(page.summary));
  text += "complete -c claude-init -n __fish_use_subcommand -a help -d 'explain a subcommand'\n";
  text += "complete -c claude-init -n __fish_use_subcommand -s h -l help -d 'list the subcommands'\n";
  text += "complete -c claude-init -n __fish_use_subcommand -s V -l version -d 'print the version'\n";
  text += fmt::format("complete -c claude-init -n '__claude_init_is help' -a '{}'\n",
                      fmt::join(subcommand_names(), " "));
  for (const Page& page : options::pages()) {
    text += '\n';
    for (const Option& option : options::options_of(page.name)) {
      text += fmt::format("complete -c claude-init -n '__claude_init_is {}'{} -l {}{} -d {}\n", page.name,
                          option.short_name.empty() ? "" : " -s " + option.short_name.substr(1),
                          option.name.substr(2), fish_action(option), fish_text(option.text.help));
    }
  }
  return text +
         "\ncomplete -c claude-init -n 'contains -- -- (commandline -opc)' -a '(__claude_init_command)'\n";
}

}  // namespace claude_init::reference
