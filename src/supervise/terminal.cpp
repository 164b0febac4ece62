#include "supervise/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "supervise/processes.h"

namespace claude_init::supervise {
namespace {

// Off: mouse reporting in all its kinds, focus reports, bracketed paste, the kitty keyboard protocol and
// xterm's modified keys. On: cursor, normal keypad and cursor keys, plain text. The alternate screen is left
// with the cursor saved first, since leaving it restores the saved one even where it was not entered (xterm's
// ctlseqs).
constexpr std::string_view kResetScreen =
    "\033[?1000l\033[?1002l\033[?1003l\033[?1006l\033[?1015l\033[?1004l\033[?2004l\033[<u\033[>4m"
    "\0337\033[?1049l\033[?25h\033[?1l\033>\033[0m";

/// Ends what SIGTSTP does to us now, if anything: it is pending, and unblocking delivers it. The kernel
/// itself ignores it in an orphaned process group, which is exactly where nobody would continue us
/// (setpgid(2)). True if we were stopped and continued.
bool take_pending_stop() {
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  sigprocmask(SIG_UNBLOCK, &stop, nullptr);
  sigprocmask(SIG_BLOCK, &stop, nullptr);
  // Sending SIGTSTP discarded any SIGCONT that was pending, so one that is there now continued us.
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, SIGCONT) == 1;
}

/// Whether whoever put our process group into the background and the foreground is a shell: the first
/// ancestor outside the group, in our session. Where /proc does not tell, there is none.
bool has_job_control_shell() {
  const auto processes = all_processes();
  const pid_t group = ::getpgrp();
  for (pid_t pid = ::getppid();;) {
    const auto process =
        std::find_if(processes.begin(), processes.end(), [&](const Process& p) { return p.pid == pid; });
    if (process == processes.end()) return false;
    if (process->group != group) return ::getsid(pid) == ::getsid(0) && is_interactive_shell(pid);
    pid = process->parent;
  }
}

}  // namespace

Terminal Terminal::open() {
  Terminal terminal;
  // Non-blocking, for this descriptor only: output stopped with ^S must not hold us up at the end.
  terminal.fd_.reset(::open("/dev/tty", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  return terminal;
}

int Terminal::lend() {
  lent_ = in_foreground() && ::tcgetattr(fd_.get(), &our_modes_) == 0;
  return lent_ ? fd_.get() : -1;
}

pid_t Terminal::foreground_group() const {
  const pid_t group = lent_ ? ::tcgetpgrp(fd_.get()) : 0;
  return group > 0 ? group : 0;
}

bool Terminal::in_foreground() const {
  if (!present()) return false;
  const pid_t group = std::max(::tcgetpgrp(fd_.get()), 0);
  // Both are 0 where our group was made outside our PID namespace. No group at all: the session's leader may.
  return group == ::getpgrp() || (group == 0 && ::getsid(0) == ::getpid());
}

void Terminal::take_back() {
  if (!lent_) return;
  lent_ = false;
  static_cast<void>(::tcsetpgrp(fd_.get(), ::getpgrp()));
  termios now{};
  if (::tcgetattr(fd_.get(), &now) == 0) child_modes_ = now;
  ::tcsetattr(fd_.get(), TCSANOW, &our_modes_);
}

bool Terminal::hung_up() const {
  if (!present()) return false;
  pollfd poll_fd{fd_.get(), 0, 0};
  return ::poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLHUP | POLLERR)) != 0;
}

bool Terminal::stop_with_child() {
  // As PID 1 or leader of the session there is no shell above us that knows of jobs.
  // Nor below an init that gave us a group of our own: it would never continue us.
  if (!present() || ::getpid() == 1 || ::getsid(0) == ::getpid() || !has_job_control_shell()) return false;
  take_back();
  ::kill(0, SIGTSTP);
  return take_pending_stop();
}

bool Terminal::resume(pid_t group) {
  if (!lent_) {
    if (lend() < 0) return false;
    if (child_modes_) ::tcsetattr(fd_.get(), TCSANOW, &*child_modes_);
  }
  static_cast<void>(::tcsetpgrp(fd_.get(), group));
  return true;
}

void Terminal::restore(bool killed) {
  if (!lent_) return;
  take_back();
  constexpr tcflag_t kCooked = ICANON | ECHO | ISIG;
  const bool raw = child_modes_ && ((child_modes_->c_lflag ^ our_modes_.c_lflag) & kCooked) != 0;
  if (killed || raw) static_cast<void>(!::write(fd_.get(), kResetScreen.data(), kResetScreen.size()));
}

}  // namespace claude_init::supervise
