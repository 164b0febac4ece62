#pragma once

#include <sys/types.h>

#include <functional>
#include <vector>

#include "base/result.h"

namespace claude_init::loop {

/// What became of a child.
struct ChildChange {
  pid_t pid = 0;
  enum class Kind { exited, killed, stopped } kind = Kind::exited;
  int number = 0;  // exit status, or the signal
  bool core = false;

  /// As a shell shows it: the exit status, or 128 plus the signal.
  [[nodiscard]] int shell_status() const { return kind == Kind::exited ? number : 128 + number; }
};

/// The only caller of wait*(2): every child of ours is reaped here, adopted orphans included, and whoever
/// started one can be told what becomes of it. supervise() calls reap(); who starts a child beside the
/// command only watches it.
class Reaper {
 public:
  using Handler = std::function<void(const ChildChange&)>;

  /// Calls `handler` when `pid` stops, and when it ends, which is the last time: then it has been reaped, and
  /// its number is nobody's or, soon, somebody else's. Until that call it may be signalled, and so may its
  /// group.
  void watch(pid_t pid, Handler handler);

  /// Reaps all that has ended. Call it after each SIGCHLD: several children's become one. False: no child is
  /// left. Error: the system does not tell, by any call that there is for it.
  [[nodiscard]] Result<bool> reap();

  /// Those that are watched: none of them has been reaped.
  [[nodiscard]] std::vector<pid_t> watched() const;

 private:
  struct Watched {
    pid_t pid;
    Handler handler;
  };
  void notify(const ChildChange& change);
  std::vector<Watched> watched_;  // one or two
};

}  // namespace claude_init::loop
