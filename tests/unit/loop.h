#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>

#include "base/time.h"

namespace claude_init::test {

/// Runs the loop until `done`, or for `patience` at the most; returns whether it came to that.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& done,
                      Milliseconds patience = Milliseconds(10'000)) {
  const SteadyTime end = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now >= end) return false;
    io.restart();
    io.run_one_for(std::min<std::chrono::steady_clock::duration>(end - now, Milliseconds(20)));
  }
  return true;
}

/// Runs the loop for that long: the only way to see that something does not happen.
inline void run_for(boost::asio::io_context& io, Milliseconds time) {
  static_cast<void>(run_until(
      io, [] { return false; }, time));
}

}  // namespace claude_init::test
