#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "options/adders.h"
#include "options/definitions.h"

/// The options that several subcommands have in common, group by group, and the types of value that they
/// share. For definitions.cpp.
namespace claude_init::options {

void add_store(Definitions& to, std::string& store);
void add_user(Definitions& to, std::string& user, const char* help);

/// Grace and time limit; for `keep`, which forwards nothing.
void add_stopping(Definitions& to, supervise::Options& options, const Text& grace);
/// Those, and how signals and exit statuses are passed on.
void add_supervision(Definitions& to, supervise::Options& options);

void add_filter(Definitions& to, store::Filter& filter);
void add_limits(Definitions& to, sync::Limits& limits);
void add_storing(Definitions& to, Storing& storing);
/// The key of a sealed store.
void add_seal_key(Definitions& to, Sealing& sealing);
/// That, and the one before it, by who puts everything in order.
void add_seal_keys(Definitions& to, Sealing& sealing);
/// Not where somebody may not be there to say that the original is not used any more.
void add_adopt(Definitions& to, Storing& storing);
void add_checkpoint(Definitions& to, Milliseconds& checkpoint);
void add_refresh_token(Definitions& to, store::RefreshToken& target);

/// When and by what a login is renewed; `instead`: what else to write where no command is given.
void add_renewing(Definitions& to, Renewal& renewal, const std::string& instead);
/// That, and whether it is at all.
void add_renewal(Definitions& to, Renewal& renewal);

enum class Metrics { no, yes };
void add_output(Definitions& to, Output& output, const Text& text, Metrics metrics = Metrics::no);

/// A command: words separated by blanks; no quoting, so that what is run is what is read.
void add_words(Definitions& to, const std::string& name, std::vector<std::string>& target,
               const std::string& instead, const Text& text);
/// Bytes, at least one.
void add_size(Definitions& to, const std::string& name, std::uint64_t& target, const Text& text);
/// A time that may be left out, and flag words as every variable of a flag takes them.
void add_wait(Definitions& to, const std::string& name, std::optional<Milliseconds>& target,
              const Text& text);

}  // namespace claude_init::options
