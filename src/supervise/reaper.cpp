#include "supervise/reaper.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace claude_init::supervise {
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

}  // namespace

void Reaper::watch(pid_t pid, Handler handler) {
  watched_.push_back({pid, std::move(handler)});
}

// One call a child: a burst of orphans is what this costs most in. So a change is taken first and told then;
// nobody of ours runs in between who could use the number of one that has gone. A command that forks as fast
// as we reap must not keep us from our deadlines: after so many the rest waits for a signal of our own.
bool Reaper::reap() {
  constexpr int kAtOnce = 1000;
  for (int taken = 0; taken < kAtOnce; ++taken) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG) != 0) {
      if (errno == EINTR) continue;
      return false;  // ECHILD
    }
    if (info.si_pid == 0) return true;
    tell(change_of(info));
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

void Reaper::tell(const ChildChange& change) {
  const auto found =
      std::find_if(watched_.begin(), watched_.end(), [&](const Watched& w) { return w.pid == change.pid; });
  if (found == watched_.end()) return;
  // A copy, as the handler may watch another child, which moves the others in memory.
  const Handler handler = found->handler;
  if (change.kind != ChildChange::Kind::stopped) watched_.erase(found);
  handler(change);
}

}  // namespace claude_init::supervise
