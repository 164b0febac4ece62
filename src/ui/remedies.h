#pragma once

#include <sys/types.h>

#include <string>

#include "fs/identity.h"

/// What to type where claude-init may not use a file or become a user: the same words wherever
/// that is met. What is typed on the host names the directory there, which is not to be seen from a
/// container.
namespace claude_init::ui {

/// What started the container, as far as it can be known: the commands to type depend on it.
enum class Engine { docker, podman, compose, kubernetes };
/// Said once, before any advice is given; docker until then.
void be_started_by(Engine engine);
/// What is typed in front of `run` and `exec`: "docker" or "podman".
[[nodiscard]] const char* engine_command();

/// In a container: to be started as `who`.
[[nodiscard]] std::string how_to_run_as(fs::Identity who);

/// As that user with a store of another one: claude-init starts as root, reads it, and drops.
[[nodiscard]] std::string how_to_drop_to(fs::Identity who);

/// In a container: for root that may not change its user, to allow that, or to be started as `who`.
[[nodiscard]] std::string how_to_become(fs::Identity who);

/// Gives everything in `directory` to `who` alone.
[[nodiscard]] std::string how_to_give(const std::string& directory, fs::Identity who, bool in_container);

/// On a host: to make `directory` for `who`, where they may not.
[[nodiscard]] std::string how_to_make(const std::string& directory, fs::Identity who);

/// On a host: to let everybody through `directory` to what lies in it.
[[nodiscard]] std::string how_to_let_pass(const std::string& directory);

/// To let the owner of everything in `directory` do everything with it.
[[nodiscard]] std::string how_to_open_modes(const std::string& directory, bool in_container);

}  // namespace claude_init::ui
