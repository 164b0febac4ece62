#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <optional>

#include "options/definitions.h"
#include "options/help.h"
#include "options/options.h"
#include "options/suggest.h"
#include "options/version.h"
#include "ui/exit_status.h"

namespace claude_init::options {
namespace {

Reply refusal(std::string_view subcommand, std::string_view what) {
  const std::string name = subcommand.empty() ? "claude-init" : fmt::format("claude-init {}", subcommand);
  return {fmt::format("{}: error [usage]: {}\nTry '{} --help'.\n", name, what, name), kExitUsage};
}

/// The option that a word is, "--name" or "--name=value"; nullptr if it is none of ours.
const CLI::Option* option_of(const CLI::App& app, const std::string& word) {
  return app.get_option_no_throw(word.substr(0, word.find('=')));
}

/// How many words the option at `i` is: with its value, if that is a word of its own.
std::size_t words_taken(const CLI::App& app, const std::vector<std::string>& words, std::size_t i) {
  const auto* option = app.get_option_no_throw(words[i]);
  if (option == nullptr || option->get_items_expected_max() == 0 || i + 1 == words.size()) return 1;
  // A time that may be left out is told from a command by being one.
  const bool may_be_left_out = option->get_items_expected_min() == 0;
  return !may_be_left_out || parse_duration(words[i + 1]) ? 2 : 1;
}

/// Where the command begins: after "--", or at the first word that is neither an option of ours nor the value
/// of one. What lies before it is ours, and an unknown option there is an error, never a command.
std::size_t command_start(const CLI::App& app, const std::vector<std::string>& words) {
  std::size_t i = 0;
  while (i < words.size() && words[i] != "--" && words[i].size() > 1 && words[i].starts_with('-')) {
    i += words_taken(app, words, i);
  }
  return i;
}

/// The first of our words that stands where an option should and is none; "" if there is none.
std::string first_unknown(const CLI::App& app, const std::vector<std::string>& own) {
  for (std::size_t i = 0; i < own.size(); i += words_taken(app, own, i)) {
    if (option_of(app, own[i]) == nullptr) return own[i];
  }
  return "";
}

std::string unknown_option(const Definitions& ours, const std::string& word, bool takes_command) {
  std::vector<std::string> names;
  for (const Option& option : ours.options) names.push_back(option.name);
  const std::string guess = closest(word.substr(0, word.find('=')), names);
  const std::string what = fmt::format("there is no option '{}'", word);
  if (!guess.empty()) return what + fmt::format("; did you mean '{}'?", guess);
  return what + (takes_command ? "; a command that begins with '-' goes behind '--'" : "");
}

/// Whether the command line itself has this option.
bool is_given(const std::vector<std::string>& words, const std::string& option) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word == option || word.starts_with(option + '=');
  });
}

/// CLI11 names the option whatever its value came from: a person looks for what they have written.
std::string name_variable(const CLI::App& app, const std::vector<std::string>& own, std::string problem) {
  for (const CLI::Option* option : app.get_options()) {
    const std::string name = option->get_name();
    if (!problem.starts_with(name + ": ") || option->count() == 0 || is_given(own, name)) continue;
    return option->get_envname() + problem.substr(name.size());
  }
  return problem;
}

/// CLI11 says how many of what it wanted: "--store: 1 required DIR missing", "--store: At Most 1 required but
/// received 2".
std::string wrong_number_of_values(const CLI::App& app, const std::string& problem) {
  const std::string name = problem.substr(0, problem.find(':'));
  const CLI::Option* option = app.get_option_no_throw(name);
  if (option == nullptr) return problem;
  if (problem.find("At Most") != std::string::npos)
    return fmt::format("{}: it is given more than once; write it once", name);
  return fmt::format("{}: it has no value; write {} {}", name, name, option->get_type_name());
}

/// The flag whose value CLI11 could not convert: all other options take texts.
std::string wrong_flag(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options()) {
    bool value = false;
    if (option->get_expected_max() != 0 || option->count() == 0) continue;
    const std::string& text = option->results().back();
    if (!CLI::detail::lexical_cast(text, value))
      return fmt::format("{}: '{}' is not possible; use 1 or 0 (true or false, yes or no, on or off)",
                         option->get_name(), text);
  }
  return "cannot understand these options";
}

constexpr std::string_view kOurs = "CLAUDE_INIT_";

/// Adds what the variables of the options are called behind that.
void add_names(const std::vector<Option>& options, std::vector<std::string>& names) {
  for (const Option& option : options) names.push_back(variable_of(option.name).substr(kOurs.size()));
}

/// Those of all subcommands: a container's variables are for whatever runs in it.
std::vector<std::string> names_of_all() {
  std::vector<std::string> names;
  for (const Page& page : pages()) add_names(options_of(page.name), names);
  return names;
}

/// A variable of ours that is none, and nearly one, is said. Others may be anybody's: what a hook is told
/// (keep/hook.cpp), what it is set up with, what our scripts read. All options are looked at only for a
/// variable that is not one of `options`.
std::vector<std::string> mistyped_variables(const std::vector<Option>& options,
                                            const Environment& environment) {
  std::vector<std::string> warnings;
  std::vector<std::string> all;
  std::vector<std::string> usual;
  const auto is_one_of = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& variable : environment.variables()) {
    if (!variable.starts_with(kOurs)) continue;
    if (usual.empty()) {
      usual = {"STATE", "PUBLISHED", "PLACEHOLDER"};  // told to hooks
      add_names(options, usual);
    }
    const std::string name = variable.substr(kOurs.size(), variable.find('=') - kOurs.size());
    if (is_one_of(usual, name)) continue;
    if (all.empty()) all = names_of_all();
    if (is_one_of(all, name)) continue;
    const std::string guess = closest(name, all);
    if (!guess.empty())
      warnings.push_back(fmt::format("nothing reads {0}{1}; did you mean {0}{2}?", kOurs, name, guess));
  }
  return warnings;
}

/// What a subcommand is given: its words and the variables.
struct Given {
  const std::vector<std::string>& words;
  const Environment& environment;
};

/// No word is an option, and no variable (CLI11 asks for each with getenv) one of ours: all is as it is by
/// default, and nothing has to be defined.
bool has_no_options(const std::vector<std::string>& words) {
  const std::string_view first = words.empty() ? "" : std::string_view(words.front());
  if (first.starts_with('-') && first != "--" && first != "-") return false;
  for (char** variable = ::environ; *variable != nullptr; ++variable) {
    if (std::string_view(*variable).starts_with(kOurs)) return false;
  }
  return true;
}

struct Rules {
  const char* name;
  log::Level log_level = log::Level::warn;
  bool is_entrypoint = false;  // an image's: people type our words behind it
};

/// An image's entrypoint ends with `--`, and what people type behind the image's name is taken as they mean
/// it: `--` once more is nothing, and options of ours come before the command. (The CLI has none that is
/// called like one of `run` or `setup` but --help; that one is the CLI's.)
void take_typed_options(const CLI::App& app, std::vector<std::string>& own,
                        std::vector<std::string>& command) {
  const auto drop_dashes = [&] {
    while (!command.empty() && command.front() == "--") command.erase(command.begin());
  };
  drop_dashes();
  std::size_t taken = 0;
  while (taken < command.size() && command[taken].starts_with("--") && command[taken] != "--" &&
         command[taken] != "--help" && option_of(app, command[taken]) != nullptr) {
    taken += words_taken(app, command, taken);
  }
  const auto end = command.begin() + static_cast<std::ptrdiff_t>(std::min(taken, command.size()));
  own.insert(own.end(), command.begin(), end);
  command.erase(command.begin(), end);
  if (taken > 0) drop_dashes();
}

template <class Options>
std::variant<CommandLine, Reply> parse_as(
    const Rules& rules, const Given& given,
    const std::function<std::string(Options&, std::vector<std::string>)>& set_command) {
  const std::vector<std::string>& words = given.words;
  CommandLine line;
  line.logging.level = rules.log_level;
  Options parsed;
  const Page& page = *page_of(rules.name);
  Definitions ours;
  CLI::App& app = ours.app;
  define_all(ours, parsed, line.advice, line.logging);

  const std::size_t start = command_start(app, words);
  std::vector<std::string> own(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(start));
  std::vector<std::string> command(words.begin() + static_cast<std::ptrdiff_t>(start), words.end());
  if (!command.empty() && command.front() == "--") {
    command.erase(command.begin());
    if (rules.is_entrypoint) take_typed_options(app, own, command);
  }
  if (page.command.empty() && !command.empty()) {
    // What is behind a mistyped option may be its value.
    const std::string unknown = first_unknown(app, own);
    if (!unknown.empty()) return refusal(rules.name, unknown_option(ours, unknown, false));
    return refusal(rules.name, fmt::format("takes no command, but got '{}'", command.front()));
  }
  try {
    std::vector<std::string> reversed(own.rbegin(), own.rend());  // the form in which CLI11 takes a vector
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return Reply{help_on(page, ours.options, Extent::early), kExitOk};
  } catch (const CLI::CallForAllHelp&) {
    return Reply{help_on(page, ours.options, Extent::all), kExitOk};
  } catch (const CLI::ExtrasError&) {
    for (const std::string& word : app.remaining()) {
      if (option_of(app, word) == nullptr) {
        return refusal(rules.name, unknown_option(ours, word, !page.command.empty()));
      }
    }
    return refusal(rules.name, "cannot understand these options");
  } catch (const CLI::ArgumentMismatch& e) {
    return refusal(rules.name, name_variable(app, own, wrong_number_of_values(app, e.what())));
  } catch (const CLI::ConversionError&) {
    return refusal(rules.name, name_variable(app, own, wrong_flag(app)));
  } catch (const CLI::ParseError& e) {
    return refusal(rules.name, name_variable(app, own, e.what()));
  }
  if constexpr (requires { parsed.output; }) {
    if (parsed.output.json && parsed.output.chosen() != Format::json)
      return refusal(rules.name, "--json says one format and --format another; take away one of them");
  }
  if (set_command) {
    if (const std::string problem = set_command(parsed, std::move(command)); !problem.empty()) {
      return refusal(rules.name, problem);
    }
  }
  line.subcommand = std::move(parsed);
  line.warnings = mistyped_variables(ours.options, given.environment);
  return line;
}

/// What of a run's options exclude each other; "" if none do.
std::string contradiction_in(const Run& run) {
  if (run.exec && run.refresh_token == store::RefreshToken::copy) {
    return "with --exec a login that the command renews is not saved; take away one of --exec and "
           "--refresh-token copy";
  }
  if (run.exec && run.keeps_sessions()) {
    return "with --exec the sessions are not saved; take away --exec, or --persist and --sessions";
  }
  if (!run.sessions.empty() && !run.keeps_sessions()) {
    return "--sessions says where to save sessions and --persist none not to; take away one of them";
  }
  return "";
}

/// What people type first, and the one of ours that they mean.
constexpr std::array<std::pair<std::string_view, std::string_view>, 24> kOthers{{
    {"login", "setup"},   {"log-in", "setup"}, {"auth", "setup"},    {"start", "setup"},
    {"status", "health"}, {"check", "health"}, {"state", "health"},  {"healthcheck", "health"},
    {"whoami", "health"}, {"serve", "keep"},   {"server", "keep"},   {"keeper", "keep"},
    {"daemon", "keep"},   {"watch", "keep"},   {"refresh", "renew"}, {"exec", "run"},
    {"claude", "run"},    {"shell", "run"},    {"save", "capture"},  {"backup", "capture"},
    {"load", "restore"},  {"list", "history"}, {"log", "history"},   {"supervise", "init"},
}};

/// The subcommand that `word` was probably meant to be, by its own name or by another one that people have
/// for it; "" if there is none.
std::string meant_by(std::string_view word) {
  std::vector<std::string> names;
  for (const Page& page : pages()) names.emplace_back(page.name);
  for (const auto& [other, ours] : kOthers) names.emplace_back(other);
  const std::string found = closest(word, names);
  for (const auto& [other, ours] : kOthers) {
    if (found == other) return std::string(ours);
  }
  return found;
}

bool is_program(std::string_view name, const Environment& environment) {
  std::string_view path = environment.get("PATH");
  while (!path.empty()) {
    const std::string_view directory = path.substr(0, path.find(':'));
    if (::access(fmt::format("{}/{}", directory, name).c_str(), X_OK) == 0) return true;
    path.remove_prefix(std::min(directory.size() + 1, path.size()));
  }
  return false;
}

/// `docker run IMAGE health`, where the entrypoint is `run --`: the first word behind it is a subcommand,
/// unless there is a program that is called so.
std::optional<std::vector<std::string>> typed_subcommand(const std::string& name,
                                                         const std::vector<std::string>& words,
                                                         const Environment& environment) {
  if ((name != "run" && name != "setup") || words.empty() || words.front() != "--") return std::nullopt;
  const auto first = std::find_if(words.begin(), words.end(), [](const auto& word) { return word != "--"; });
  if (first == words.end()) return std::nullopt;
  if (page_of(*first) == nullptr || is_program(*first, environment)) return std::nullopt;
  return std::vector<std::string>(first, words.end());
}

}  // namespace

std::variant<CommandLine, Reply> parse(const std::vector<std::string>& arguments,
                                       const Environment& environment) {
  if (arguments.empty()) return Reply{usage(), kExitUsage};
  const std::string& name = arguments.front();
  const std::vector<std::string> words(arguments.begin() + 1, arguments.end());
  const Given given{words, environment};
  if (const auto typed = typed_subcommand(name, words, environment)) return parse(*typed, environment);

  if (name == "help" && !words.empty() && !words.front().starts_with('-'))
    return parse({words.front(), "--help"}, environment);
  if (name == "--help" || name == "-h" || name == "help") return Reply{usage(), kExitOk};
  if (name == "--version" || name == "-V") return Reply{version_text(), kExitOk};
  if (name == "init") {
    const auto set_command = [](Init& init, std::vector<std::string> command) -> std::string {
      init.command = complete_command(std::move(command), {});
      return init.command.empty() ? "which command? write it behind '--'" : "";
    };
    // In front of each command of a container: as quick as it can be.
    if (has_no_options(words) && !words.empty()) {
      const bool dashes = words.front() == "--";
      CommandLine line;
      Init init;
      if (set_command(init, {words.begin() + (dashes ? 1 : 0), words.end()}).empty()) {
        line.subcommand = std::move(init);
        return line;
      }
    }
    return parse_as<Init>({"init"}, given, set_command);
  }
  if (name == "setup") {
    return parse_as<Setup>({"setup", log::Level::warn, true}, given,
                           [](Setup& setup, std::vector<std::string> command) -> std::string {
                             setup.command = complete_command(std::move(command), {});
                             return "";
                           });
  }
  if (name == "run") {
    return parse_as<Run>({"run", log::Level::warn, true}, given,
                         [](Run& run, std::vector<std::string> command) -> std::string {
                           run.command = complete_command(std::move(command), {"claude"});
                           return contradiction_in(run);
                         });
  }
  if (name == "keep") {
    return parse_as<Keep>(
        {"keep", log::Level::info}, given, [](Keep& keep, const std::vector<std::string>&) -> std::string {
          auto stores = kept_stores(keep.store_words, keep.publish_words, keep.placeholder_words);
          if (!stores) return stores.error().message() + "; " + stores.error().remedy;
          keep.stores = std::move(*stores);
          keep.supervision.stop_signals = {SIGTERM, SIGINT};
          return "";
        });
  }
  if (name == "renew") {
    return parse_as<Renew>({"renew"}, given, {});
  }
  if (name == "health") {
    return parse_as<Health>({"health"}, given,
                            [&](Health& health, const std::vector<std::string>&) -> std::string {
                              // A variable is for all health commands of a container, those without --live
                              // too.
                              if (is_given(words, "--max-age") && !health.live)
                                return "--max-age is the age of a result of --live; add that";
                              return "";
                            });
  }
  if (name == "capture") {
    return parse_as<Capture>({"capture"}, given,
                             [](Capture& capture, const std::vector<std::string>&) -> std::string {
                               return capture.from.empty() ? "what is to be captured? write --from DIR" : "";
                             });
  }
  if (name == "restore") {
    return parse_as<Restore>({"restore"}, given,
                             [](Restore& restore, const std::vector<std::string>&) -> std::string {
                               return restore.to.empty() ? "where to? write --to DIR" : "";
                             });
  }
  if (name == "history") {
    return parse_as<History>({"history"}, given, {});
  }
  std::string list;
  std::string guess = meant_by(name);
  for (const Page& page : pages()) {
    if (name.size() >= 3 && page.name.starts_with(name)) guess = page.name;
    list += (&page == &pages().front() ? "" : &page == &pages().back() ? " or " : ", ");
    list += page.name;
  }
  return refusal("", fmt::format("there is no subcommand '{}'; ", name) +
                         (guess.empty() ? "write " + list : fmt::format("did you mean '{}'?", guess)));
}

}  // namespace claude_init::options
