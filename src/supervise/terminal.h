#pragma once

#include <sys/types.h>
#include <termios.h>

#include <optional>

#include "base/unique_fd.h"

namespace claude_init::supervise {

/// Our controlling terminal, found through /dev/tty, whatever standard input is. All of it does nothing where
/// there is none. Needs SIGTTOU and SIGTTIN blocked, so that nothing here stops us.
class Terminal {
 public:
  [[nodiscard]] static Terminal open();

  [[nodiscard]] bool present() const { return fd_.valid(); }

  /// Lends the foreground to a child that is about to start: the descriptor for it to take it with. -1 where
  /// there is nothing to lend, since we are a background job.
  [[nodiscard]] int lend();

  /// 0 if there is none that we can see, or it is not of our side: a background job of a shell has no
  /// business with what runs in front.
  [[nodiscard]] pid_t foreground_group() const;

  /// The line was cut, the window was closed, the other end of the pty has gone.
  [[nodiscard]] bool hung_up() const;

  /// The child stopped: takes back what was lent and stops our own process group as ^Z would have, so that
  /// the shell above prompts; returns when somebody continues us. False: there is no job-control shell above
  /// us, nobody would ever continue us, so nothing was stopped.
  [[nodiscard]] bool stop_with_child();

  /// If we have the foreground (after `fg`, not after `bg`): lends it to `group` again, with the modes that
  /// it had when it stopped. Whether our side has the foreground now.
  bool resume(pid_t group);

  /// Takes back what was lent, with the modes as they were when it was. If the child was killed or left it
  /// raw, also the screen: mouse reporting, alternate screen, hidden cursor and the like are turned off.
  void restore(bool killed);

 private:
  [[nodiscard]] bool in_foreground() const;
  void take_back();

  UniqueFd fd_;
  bool lent_ = false;                   // our side has the foreground: the child, or a job of its
  termios our_modes_{};                 // as they were when we lent it
  std::optional<termios> child_modes_;  // as they were when we took it back
};

}  // namespace claude_init::supervise
