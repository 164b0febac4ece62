#pragma once

namespace claude_init::user {

/// A process of another user that shares a terminal with us could type into it (ioctl TIOCSTI, TIOCLINUX):
/// the shell that started us would read that, with its own rights, when we have ended.

/// Whether there is such a terminal here: a controlling one, or one among the standard streams.
[[nodiscard]] bool shares_a_terminal();

/// Whether this kernel, and the profile that we run under, have filters of system calls (seccomp(2)).
[[nodiscard]] bool can_forbid_typing();

/// From here on those two fail with EPERM for this thread and everything that it forks or executes, in every
/// way that the machine has to make the call; nothing else changes. Needs no_new_privs or CAP_SYS_ADMIN. Once
/// done it cannot be undone. Async-signal-safe; 0 or errno (EACCES: neither of the two).
[[nodiscard]] int forbid_typing();

}  // namespace claude_init::user
