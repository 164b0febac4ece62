#pragma once

#include <sys/types.h>

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "base/time.h"
#include "base/unique_fd.h"
#include "loop/reaper.h"
#include "supervise/spawn.h"
#include "supervise/supervisor.h"

namespace claude_init::renew {

/// Runs one command at a time on the loop, keeps what it says, and ends it where it takes too long.
class Helper {
 public:
  using Then = std::function<void(const loop::ChildChange&)>;
  explicit Helper(const supervise::Loop& loop) : loop_(loop), limit_(loop.io) {}
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;

  /// The command that `make` makes for a descriptor to write to. `then` is called when it has ended, unless
  /// this has gone; one that cannot be started ends like one that is not executable, at once. After `limit`
  /// it gets TERM, and KILL after another 5 s, with everything that it has started in its group.
  void run(const std::function<supervise::Command(int output)>& make, Milliseconds limit, Then then);
  [[nodiscard]] bool is_running() const { return pid_ != 0; }

  // Of the last one:
  [[nodiscard]] bool timed_out() const { return timed_out_; }
  [[nodiscard]] int output() const { return output_.get(); }

 private:
  void limit_time(Milliseconds limit);

  const supervise::Loop loop_;
  boost::asio::steady_timer limit_;
  UniqueFd output_;
  pid_t pid_ = 0;  // not reaped yet
  bool timed_out_ = false;
  std::shared_ptr<int> alive_ = std::make_shared<int>();  // gone with this, for whoever is called later
};

}  // namespace claude_init::renew
