#pragma once

#include <signal.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"

/// Signals in and out. Supervision has no handlers: everything is blocked and read, so that every disposition
/// but SIGCHLD's stays what we were given and is inherited by the child as it is. (What goes before it has
/// some: base/interrupt.h.)
namespace claude_init::supervise {

/// What we were started with and every child must be started with again.
struct Inherited {
  sigset_t mask{};             // blocked signals
  bool child_ignored = false;  // SIGCHLD was SIG_IGN: then the kernel reaps, and we would learn of no exit
};

/// Blocks every signal, those that glibc keeps for itself included, and remembers what we were given. The
/// first thing that main does: no signal is lost from here on. Faults of our own still end us: the kernel
/// delivers those whether blocked or not.
[[nodiscard]] Inherited take_over_signals();

/// Undoes take_over_signals() in a forked child. Async-signal-safe. SIGCHLD's disposition first, the mask
/// last: what was sent meanwhile arrives here.
void give_back_signals(const Inherited& inherited);

/// Whether `number` was SIG_IGN when we began (nohup): what is blocked comes to a signalfd even so.
[[nodiscard]] bool is_ignored(int number);

/// A signalfd for everything that take_over_signals() blocked. Non-blocking.
[[nodiscard]] Result<UniqueFd> open_signal_fd();

/// The next pending signal, none if there is no more.
[[nodiscard]] std::optional<signalfd_siginfo> next_signal(int signal_fd);
/// Those that are pending, at most as many as there is room for. Returns how many.
[[nodiscard]] std::size_t read_signals(int signal_fd, std::span<signalfd_siginfo> room);

/// Waits for any signal until `until`, without a descriptor. 0 or errno; EAGAIN: none has come.
[[nodiscard]] int await_signal(signalfd_siginfo& info, SteadyTime until);

/// Sends `number` to the process (> 0) or group (< 0) `target`, with the value of `origin` if that was sent
/// by sigqueue(3). To a group no value can be sent in one call: its processes are looked up and sent it one
/// by one. 0 or errno.
[[nodiscard]] int pass_on(pid_t target, int number, const signalfd_siginfo& origin);

/// Ends a supervise() that runs on this thread's loop, as a TERM from outside would.
void stop_ourselves();

/// Number of a signal: "TERM", "SIGTERM", "15", "RTMIN+3", "RTMAX-1". Error: usage.
[[nodiscard]] Result<int> parse_signal(std::string_view text);

/// "TERM", "RTMIN+3"; the number where there is no name.
[[nodiscard]] std::string signal_name(int number);

}  // namespace claude_init::supervise
