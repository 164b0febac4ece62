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

/// Whether that file is the program itself: a script of a few lines starts another one, which may become a
/// new version while the script stays as it is (as in the runtime image).
[[nodiscard]] bool is_itself(const store::RenewerNote::Program& program);

}  // namespace claude_init::renew
