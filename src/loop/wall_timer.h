#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "base/result.h"
#include "base/time.h"

namespace claude_init::loop {

/// Calls at a time of the wall clock, and when that is set: deadlines of a login are wall clock, so what is
/// due then may be another. By timerfd_create(2) with TFD_TIMER_CANCEL_ON_SET, so that nothing else wakes us;
/// the time that a machine was suspended counts. Nothing is called once it has been destroyed.
class WallTimer {
 public:
  explicit WallTimer(boost::asio::io_context& io);
  ~WallTimer();
  WallTimer(const WallTimer&) = delete;
  WallTimer& operator=(const WallTimer&) = delete;

  /// Calls `handler` once: at `due`, soon if that has passed, or before it when the clock has been set.
  /// Replaces what was asked for before. Error: limit (no descriptor is left).
  Result<void> at(UnixMs due, std::function<void()> handler);
  void cancel();

 private:
  struct State;
  std::shared_ptr<State> state_;  // outlives this for a handler that is due already
};

}  // namespace claude_init::loop
