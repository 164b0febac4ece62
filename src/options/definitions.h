#pragma once

#include <CLI/App.hpp>

#include "options/options.h"

namespace claude_init::options {

/// Adds the options of one subcommand to `app`, bound to the fields of the structure, each with its variable.
/// A value that is refused throws CLI::ValidationError with what to write instead.
void define(CLI::App& app, Init& init);
void define(CLI::App& app, Setup& setup);
void define(CLI::App& app, Run& run);
void define(CLI::App& app, Keep& keep);
void define(CLI::App& app, Renew& renew);
void define(CLI::App& app, Health& health);
void define(CLI::App& app, Capture& capture);
void define(CLI::App& app, Restore& restore);
void define(CLI::App& app, History& history);
void define(CLI::App& app, Logging& logging);
void define(CLI::App& app, Advice& advice);

}  // namespace claude_init::options
