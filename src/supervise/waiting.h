#pragma once

#include <sys/signalfd.h>

#include <memory>
#include <optional>

#include "base/result.h"
#include "base/time.h"

namespace boost::asio {
class io_context;
}

namespace claude_init::supervise {

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
