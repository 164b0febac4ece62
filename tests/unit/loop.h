#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>

#include "base/time.h"
#include "fake_clock.h"

namespace claude_init::test {

/// Everything that can be done at this moment.
inline void settle(boost::asio::io_context& io) {
  do {
    io.restart();
  } while (io.poll() > 0);
}

/// Lets the time pass until `done`, or `patience` of it at the most; returns whether it came to that. A
/// change of a file is told at once (inotify(7)), so how busy the machine is does not matter.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& done,
                      Milliseconds patience = Milliseconds(10'000)) {
  for (Milliseconds passed{0};; ++passed) {
    settle(io);
    if (done()) return true;
    if (passed >= patience) return false;
    let_pass(Milliseconds(1));
  }
}

/// Lets that much time pass.
inline void run_for(boost::asio::io_context& io, Milliseconds time) {
  static_cast<void>(run_until(
      io, [] { return false; }, time));
}

}  // namespace claude_init::test
