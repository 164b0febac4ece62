#pragma once

#include <sys/types.h>

#include <vector>

/// What /proc tells about other processes. Where it is not mounted, is hidden or belongs to another PID
/// namespace, the lists are empty: numbers from there would name strangers.
namespace claude_init::supervise {

struct Process {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  bool dead = false;  // a zombie that its parent has not reaped
};

/// All that /proc shows, in no order.
[[nodiscard]] std::vector<Process> all_processes();

/// Whether /proc tells anything.
[[nodiscard]] bool are_processes_visible();

/// Those that descend from us and still run, whatever session or group they are in. With us as subreaper (or
/// PID 1) every orphan among them has us as parent, so the chain of parents never breaks. Without `except`
/// and what descends from those.
[[nodiscard]] std::vector<Process> descendants(const std::vector<pid_t>& except = {});

/// Whether `pid` ignores SIGTSTP and SIGTTOU, as interactive shells do, and nearly nothing else does.
[[nodiscard]] bool is_interactive_shell(pid_t pid);

/// Sends SIGKILL to everything that descends from us, once; processes that fork meanwhile may be missed:
/// repeat until they have gone. As PID 1 to everything that we may signal, which the kernel does for all at
/// once: what else lives in our PID namespace ends with us anyway.
void kill_descendants();

}  // namespace claude_init::supervise
