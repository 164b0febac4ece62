#include "renew/helper.h"

#include <signal.h>

#include <utility>

#include "fs/newer_calls.h"
#include "log/log.h"

namespace claude_init::renew {
namespace {

// The CLI needs 3 s to save what it is fetching.
constexpr Milliseconds kGrace{5'000};

}  // namespace

void Helper::run(const std::function<supervise::Command(int output)>& make, Milliseconds limit, Then then) {
  timed_out_ = false;
  output_ = fs::nameless_file("claude-init-renewal");
  const auto spawned = supervise::spawn(loop_.inherited, make(output_.get()), -1);
  if (!spawned) {
    log::failure(log::Level::warn, spawned.error());
    loop::ChildChange none;
    none.number = 126;
    return then(none);
  }
  pid_ = spawned->pid;
  limit_time(limit);
  loop_.reaper.watch(pid_, [this, then = std::move(then),
                            alive = std::weak_ptr<int>(alive_)](const loop::ChildChange& change) {
    if (change.kind == loop::ChildChange::Kind::stopped || alive.expired()) return;
    pid_ = 0;
    limit_.cancel();
    then(change);
  });
}

/// The command leads a group of its own; what it started ends with it. A handler may be due already when the
/// command ends, and another one may be running then.
void Helper::limit_time(Milliseconds limit) {
  limit_.expires_after(limit);
  limit_.async_wait([this, pid = pid_](const boost::system::error_code& failure) {
    if (failure || pid_ != pid) return;
    timed_out_ = true;
    ::kill(-pid, SIGTERM);
    limit_.expires_after(kGrace);
    limit_.async_wait([this, pid](const boost::system::error_code& over) {
      if (!over && pid_ == pid) ::kill(-pid, SIGKILL);
    });
  });
}

}  // namespace claude_init::renew
