#pragma once

#include "base/deadline.h"
#include "base/result.h"

/// Being told to end while no event loop runs: while something is copied, compared or waited for. TERM, INT,
/// HUP and QUIT (unless they are ignored) are only noted then. What takes long asks often whether it is to go
/// on (check()) and leaves as with any error, so that what was half made is removed on the way out. What does
/// not ask is cut off soon after, which leaves no more than a kill would. Signals are the main thread's; any
/// thread may ask.
namespace claude_init::interrupt {

/// From here on until stop_listening() those signals are noted. They are blocked before and after, by whoever
/// started (supervise::take_over_signals).
void listen();
/// They are the caller's, blocked, with the dispositions that we were given.
void stop_listening();

/// The signal that was noted first; 0 if there was none.
[[nodiscard]] int number();
/// Whether one is noted, or waits, blocked, to be taken.
[[nodiscard]] bool is_pending();

/// `time`, or sooner: when is_pending(). For work on the event loop, which would take the signal.
[[nodiscard]] Deadline until(SteadyTime time);

/// Error interrupted: one was noted, and the work is to end here.
[[nodiscard]] Result<void> check();

/// While one exists the signals are the caller's, as by stop_listening(): for a loop that takes them itself,
/// and for starting a process.
class Pause {
 public:
  Pause();
  ~Pause();
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;

 private:
  bool was_listening_;
};

/// While one exists there is something to be removed on the way out, which is given longer before it is cut
/// off.
class Untidy {
 public:
  Untidy();
  ~Untidy();
  Untidy(Untidy&& other) noexcept;
  Untidy& operator=(Untidy&& other) noexcept;
  Untidy(const Untidy&) = delete;
  Untidy& operator=(const Untidy&) = delete;

 private:
  bool counts_ = true;
};

}  // namespace claude_init::interrupt
