#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "supervise/signals.h"

namespace claude_init::supervise {

struct Command {
  std::vector<std::string> argv;     // argv[0] is searched in the PATH of `env`
  std::vector<std::string> env;      // NAME=VALUE
  std::string directory;             // "" = ours; entered after `before_exec`
  std::function<int()> before_exec;  // in the child, async-signal-safe, 0 or errno; may be empty
};

/// A started child. If the command could not be executed, `failure` says why: then the child has ended
/// already, with 126 (found, cannot be executed) or 127 (not found), and is reaped like any other.
struct Spawned {
  pid_t pid = 0;
  std::optional<Error> failure;
  int exit_status = 0;  // with `failure`
};

/// Starts `command` in a process group of its own, with the terminal's foreground if `terminal_fd` is one
/// (-1: none). It has the signals that we were given and every descriptor that is not O_CLOEXEC. Returns when
/// the command is executing, so from then on it and its group can be signalled. The caller must have
/// the child reaped (Reaper). Error: no process, or the directory or `before_exec` failed; nothing runs then.
[[nodiscard]] Result<Spawned> spawn(const Inherited& inherited, const Command& command, int terminal_fd);

/// Replaces us with `command`, signals as inherited. Returns only when that failed, with 126 or 127 for the
/// caller to exit with, and the reason.
[[nodiscard]] std::pair<int, Error> exec_instead(const Inherited& inherited, const Command& command);

}  // namespace claude_init::supervise
