#pragma once

#include <string>
#include <vector>

#include "health/health.h"
#include "store/inspect.h"

namespace claude_init::health {

/// Whether a login is made in another store, from which this one is published: setup refuses this one.
[[nodiscard]] bool is_logged_in_to_elsewhere(const store::Inspection& inspection, const Context& context);

/// The remedy where the login is one that has to be made anew.
[[nodiscard]] std::string log_in_again(const store::Inspection& inspection, const Context& context);

/// What the environment makes of the CLI's login: the variables that shadow it, a base URL over plain http.
[[nodiscard]] std::vector<std::string> notes_on_environment(const Context& context);

/// What is worth a warning beside the state: each a sentence with what to do about it.
[[nodiscard]] std::vector<std::string> notes_on(const store::Inspection& inspection, const Context& context);

}  // namespace claude_init::health
