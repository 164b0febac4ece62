#pragma once

#include <string>

namespace claude_init::options {

/// What `--version` prints: version and commit, and the libraries that the binary is made of, a line each.
[[nodiscard]] std::string version_text();

}  // namespace claude_init::options
