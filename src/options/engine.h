#pragma once

#include "options/environment.h"
#include "ui/remedies.h"

namespace claude_init::options {

/// Who has started this container, by what they leave in it: a pod's variables, what Compose says is to be
/// typed to log in ($CLAUDE_INIT_LOGIN_COMMAND), podman's file. Else docker.
[[nodiscard]] ui::Engine engine_of(const options::Environment& environment);

}  // namespace claude_init::options
