#pragma once

#include <optional>
#include <string>
#include <vector>

#include "store/renewer_note.h"

namespace claude_init::renew {

/// The file that a command runs: found in the PATH of `environment` (NAME=VALUE), links followed. Nothing
/// where there is none.
[[nodiscard]] std::optional<store::RenewerNote::Program> program_of(
    const std::vector<std::string>& words, const std::vector<std::string>& environment);

}  // namespace claude_init::renew
