#pragma once

#include <string>

#include "options/option.h"

/// What is written about the options, each made of their one definition (src/options/definitions.cpp). All of
/// it is the same for the same sources: no dates, no versions.
namespace claude_init::reference {

/// docs/reference/cli.md.
[[nodiscard]] std::string markdown();

/// claude-init(1), and claude-init-NAME(1).
[[nodiscard]] std::string man_page();
[[nodiscard]] std::string man_page(const options::Page& page);

[[nodiscard]] std::string bash_completion();
[[nodiscard]] std::string zsh_completion();
[[nodiscard]] std::string fish_completion();

/// Each `what` in `text` replaced.
[[nodiscard]] std::string replaced(std::string text, std::string_view what, std::string_view with);

}  // namespace claude_init::reference
