#pragma once

#include <CLI/App.hpp>
#include <string_view>
#include <type_traits>
#include <vector>

#include "options/option.h"
#include "options/options.h"

namespace claude_init::options {

/// What reads the words of one subcommand, and the same options as people read them.
struct Definitions {
  CLI::App app;
  std::vector<Option> options;
  std::string_view topic;  // of those that are added next
};

/// Adds the options of one subcommand, bound to the fields of the structure, each with its variable.
/// A value that is refused throws CLI::ValidationError with what to write instead.
void define(Definitions& to, Init& init);
void define(Definitions& to, Setup& setup);
void define(Definitions& to, Run& run);
void define(Definitions& to, Keep& keep);
void define(Definitions& to, Renew& renew);
void define(Definitions& to, Health& health);
void define(Definitions& to, Capture& capture);
void define(Definitions& to, Restore& restore);
void define(Definitions& to, History& history);
void define(Definitions& to, Advice& advice);
void define(Definitions& to, Logging& logging);
/// --help and --help-all, which throw CLI::CallForHelp and CLI::CallForAllHelp.
void define_help(Definitions& to);

/// All that a subcommand takes.
template <class Options>
void define_all(Definitions& to, Options& options, Advice& advice, Logging& logging) {
  define(to, options);
  to.topic = "Messages";
  if constexpr (!std::is_same_v<Options, Init>) define(to, advice);
  define(to, logging);
  define_help(to);
}

}  // namespace claude_init::options
