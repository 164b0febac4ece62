#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "options/option.h"

namespace claude_init::options {

inline constexpr std::size_t kHelpWidth = 100;

enum class Extent { early, all };

/// What `claude-init --help` prints.
[[nodiscard]] std::string usage();

/// What `claude-init SUBCOMMAND --help` prints, or --help-all. No line is wider than kHelpWidth.
[[nodiscard]] std::string help_on(const Page& page, const std::vector<Option>& options, Extent extent);

/// "does this (default 5s)".
[[nodiscard]] std::string with_default(const Text& text);

/// The topics of these, in the order in which they come.
[[nodiscard]] std::vector<std::string_view> topics_of(const std::vector<Option>& options);

}  // namespace claude_init::options
