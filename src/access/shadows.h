#pragma once

#include <string>
#include <vector>

#include "options/environment.h"

namespace claude_init::access {

/// The variables that make the CLI use another login than the stored one.
[[nodiscard]] std::vector<std::string> shadowing_variables(const options::Environment& environment);

/// What in settings does, as it is told: "apiKeyHelper in FILE". The settings are the store's, this machine's
/// (managed), and those of the project in the directory that we are in.
[[nodiscard]] std::vector<std::string> shadowing_settings(const std::string& store);

}  // namespace claude_init::access
