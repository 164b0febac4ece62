#pragma once

#include "ui/remedies.h"
#include "options/environment.h"

namespace claude_init::commands {

/// Who has started this container, by what they leave in it: a pod's variables, what Compose says is to be
/// typed to log in ($CLAUDE_INIT_LOG_IN), podman's file. Else docker.
[[nodiscard]] fs::Engine engine_of(const options::Environment& environment);

}  // namespace claude_init::commands
