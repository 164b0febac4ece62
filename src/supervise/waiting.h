#pragma once

#include <sys/signalfd.h>

#include <chrono>
#include <memory>
#include <optional>

#include "base/result.h"
#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace claude_init::supervise {

/// Signals that are taken one after the other: then everything else has its turn. Whoever sends them as fast
/// as they are taken cannot keep us from our deadlines.
class Batch {
 public:
  [[nodiscard]] bool is_full() const { return taken_ >= kMost || std::chrono::steady_clock::now() >= end_; }
  void count() { ++taken_; }

 private:
  static constexpr int kMost = 64;
  static constexpr Milliseconds kLongest{20};

  int taken_ = 0;
  SteadyTime end_ = std::chrono::steady_clock::now() + kLongest;
};

/// What supervision waits with. Every signal is blocked (take_over_signals), so none is lost in between.
class Waiting {
 public:
  virtual ~Waiting() = default;

  /// The next signal. Waits for it until `until`, and does meanwhile whatever else the loop has to do;
  /// nothing when the time has come or something else was done. Error: it cannot wait.
  [[nodiscard]] virtual Result<std::optional<signalfd_siginfo>> next(SteadyTime until) = 0;

  /// The next signal, if one is pending.
  [[nodiscard]] virtual std::optional<signalfd_siginfo> pending() = 0;
};

/// By rt_sigtimedwait(2): one call a signal, no descriptor, no loop.
[[nodiscard]] std::unique_ptr<Waiting> wait_for_signals_only();

/// On the loop, with whatever else waits there. Error: the loop cannot be had.
[[nodiscard]] Result<std::unique_ptr<Waiting>> wait_on_loop(boost::asio::io_context& io);

}  // namespace claude_init::supervise
