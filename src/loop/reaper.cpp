#include "loop/reaper.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace claude_init::loop {
namespace {

ChildChange change_of(const siginfo_t& info) {
  using Kind = ChildChange::Kind;
  ChildChange change;
  change.pid = info.si_pid;
  change.number = info.si_status;
  change.core = info.si_code == CLD_DUMPED;
  change.kind = info.si_code == CLD_EXITED                                 ? Kind::exited
                : info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED ? Kind::killed
                                                                           : Kind::stopped;
  return change;
}

/// The next change, of pid 0 where there is none. 0 or errno; ECHILD: there is no child.
int next_change(siginfo_t& info) {
  if (::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) == 0) return 0;
  if (errno == ECHILD) return ECHILD;
  // A filter on system calls may know only the older one.
  int status = 0;
  const pid_t pid = ::waitpid(-1, &status, WUNTRACED | WNOHANG);
  if (pid < 0) return errno;
  info.si_pid = pid;
  info.si_code = WIFSTOPPED(status)  ? CLD_STOPPED
                 : WIFEXITED(status) ? CLD_EXITED
                 : WCOREDUMP(status) ? CLD_DUMPED
                                     : CLD_KILLED;
  info.si_status = WIFSTOPPED(status)  ? WSTOPSIG(status)
                   : WIFEXITED(status) ? WEXITSTATUS(status)
                                       : WTERMSIG(status);
  return 0;
}

}  // namespace

void Reaper::watch(pid_t pid, Handler handler) {
  watched_.push_back({pid, std::move(handler)});
}

// One call a child: a burst of orphans is what this costs most in. So a change is taken first and told then;
// nobody of ours runs in between who could use the number of one that has gone. A command that forks as fast
// as we reap must not keep us from our deadlines: after so many the rest waits for a signal of our own.
Result<bool> Reaper::reap() {
  constexpr int kAtOnce = 1000;
  for (int taken = 0; taken < kAtOnce; ++taken) {
    siginfo_t info{};
    if (const int error = next_change(info); error == ECHILD) {
      return false;
    } else if (error != 0) {
      return system_error(error, "wait for what has ended");
    }
    if (info.si_pid == 0) return true;
    notify(change_of(info));
  }
  ::kill(::getpid(), SIGCHLD);
  return true;
}

std::vector<pid_t> Reaper::watched() const {
  std::vector<pid_t> pids;
  pids.reserve(watched_.size());
  for (const Watched& w : watched_) pids.push_back(w.pid);
  return pids;
}

void Reaper::notify(const ChildChange& change) {
  const auto found =
      std::find_if(watched_.begin(), watched_.end(), [&](const Watched& w) { return w.pid == change.pid; });
  if (found == watched_.end()) return;
  // A copy, as the handler may watch another child, which moves the others in memory.
  const Handler handler = found->handler;
  if (change.kind != ChildChange::Kind::stopped) watched_.erase(found);
  handler(change);
}

}  // namespace claude_init::loop
