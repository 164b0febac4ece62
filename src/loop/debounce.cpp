#include "loop/debounce.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace claude_init::loop {

struct Debounce::State {
  boost::asio::steady_timer timer;
  Milliseconds settle;
  Milliseconds latest;
  std::function<void()> action;
  SteadyTime due_by = SteadyTime::max();  // max: nothing has happened
  bool gone = false;
};

Debounce::Debounce(boost::asio::io_context& io, Milliseconds settle, Milliseconds latest,
                   std::function<void()> action)
    : state_(
          std::make_shared<State>(State{boost::asio::steady_timer(io), settle, latest, std::move(action)})) {}

Debounce::~Debounce() {  // NOLINT(bugprone-exception-escape): cancelling a timer reports no failure
  state_->gone = true;
  state_->timer.cancel();
}

void Debounce::poke() {
  State& state = *state_;
  if (pending() && state.settle >= state.latest) return;  // it is due when it is due
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!pending()) state.due_by = now + state.latest;
  state.timer.expires_at(std::min(state.due_by, now + state.settle));
  state.timer.async_wait([kept = state_](const boost::system::error_code& failure) {
    if (failure || kept->gone || kept->due_by == SteadyTime::max()) return;
    kept->due_by = SteadyTime::max();
    kept->action();
  });
}

void Debounce::cancel() {
  state_->due_by = SteadyTime::max();
  state_->timer.cancel();
}

bool Debounce::pending() const {
  return state_->due_by != SteadyTime::max();
}

}  // namespace claude_init::loop
