#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "base/time.h"

namespace claude_init::loop {

/// Turns a burst of events into one call of `action`: when there has been none for `settle`, and `latest`
/// after the first one in any case. No timer runs when nothing happens. Nothing is called once it has been
/// destroyed.
class Debounce {
 public:
  Debounce(boost::asio::io_context& io, Milliseconds settle, Milliseconds latest,
           std::function<void()> action);
  ~Debounce();  // NOLINT(bugprone-exception-escape)
  Debounce(const Debounce&) = delete;
  Debounce& operator=(const Debounce&) = delete;

  /// Something happened. Allowed inside `action`: then it is called once more.
  void poke();
  void cancel();
  [[nodiscard]] bool pending() const;

 private:
  struct State;
  std::shared_ptr<State> state_;  // outlives this for a handler that is due already
};

}  // namespace claude_init::loop
