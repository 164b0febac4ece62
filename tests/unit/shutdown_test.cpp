#include "supervise/shutdown.h"

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <utility>

using namespace claude_init;
using namespace claude_init::supervise;

namespace {

constexpr std::array kAllStates{State::running, State::stopping,   State::draining,
                                State::killing, State::collecting, State::done};
constexpr std::array kAllEvents{
    Event::stop,      Event::stop_again, Event::hangup,    Event::shell_due,        Event::child_ended,
    Event::all_ended, Event::grace_over, Event::kill_over, Event::time_nearly_over, Event::collected};
static_assert(kAllStates.size() == kStates && kAllEvents.size() == kEvents);

}  // namespace

TEST_CASE("every event in every state does what the table in the documentation says") {
  // Written out on its own, not derived from the implementation: what is not here changes nothing.
  const std::map<std::pair<State, Event>, std::pair<State, unsigned>> changes{
      {{State::running, Event::stop},
       {State::stopping, kTellChild | kTellHelpers | kStartGrace | kStartTimeout | kSaveNow}},
      {{State::running, Event::stop_again}, {State::killing, kKill}},
      {{State::running, Event::hangup},
       {State::stopping, kTellChild | kTellHelpers | kStartGrace | kSaveNow}},
      {{State::running, Event::child_ended}, {State::draining, kTellLeftovers | kStartGrace}},
      {{State::running, Event::all_ended}, {State::collecting, kNothing}},
      {{State::stopping, Event::stop}, {State::stopping, kTellChild | kStartGrace | kStartTimeout}},
      {{State::stopping, Event::stop_again}, {State::killing, kKill}},
      {{State::stopping, Event::hangup}, {State::stopping, kTellChild}},
      {{State::stopping, Event::shell_due}, {State::stopping, kTellShells}},
      {{State::stopping, Event::child_ended}, {State::draining, kTellLeftovers | kStartGrace}},
      {{State::stopping, Event::all_ended}, {State::collecting, kNothing}},
      {{State::stopping, Event::grace_over}, {State::killing, kKill}},
      {{State::stopping, Event::time_nearly_over}, {State::killing, kKill}},
      {{State::draining, Event::stop},
       {State::draining, kTellHelpers | kStartGrace | kStartTimeout | kSaveNow}},
      {{State::draining, Event::stop_again}, {State::killing, kKill}},
      {{State::draining, Event::hangup}, {State::draining, kTellHelpers | kStartGrace | kSaveNow}},
      {{State::draining, Event::shell_due}, {State::draining, kTellShells}},
      {{State::draining, Event::all_ended}, {State::collecting, kNothing}},
      {{State::draining, Event::grace_over}, {State::killing, kKill}},
      {{State::draining, Event::time_nearly_over}, {State::killing, kKill}},
      {{State::killing, Event::stop}, {State::killing, kStartTimeout}},
      {{State::killing, Event::all_ended}, {State::collecting, kNothing}},
      {{State::killing, Event::kill_over}, {State::collecting, kNothing}},
      {{State::killing, Event::time_nearly_over}, {State::collecting, kNothing}},
      {{State::collecting, Event::stop}, {State::collecting, kStartTimeout}},
      {{State::collecting, Event::stop_again}, {State::collecting, kHurry}},
      {{State::collecting, Event::time_nearly_over}, {State::collecting, kHurry}},
      {{State::collecting, Event::collected}, {State::done, kNothing}},
  };
  for (const State state : kAllStates) {
    for (const Event event : kAllEvents) {
      INFO(name_of(state) << " × event " << static_cast<int>(event));
      const auto found = changes.find({state, event});
      const auto expected = found != changes.end() ? found->second : std::pair{state, unsigned{kNothing}};
      CHECK(step(state, event).next == expected.first);
      CHECK(step(state, event).actions == expected.second);
    }
  }
}

TEST_CASE("no sequence of events leads back to an earlier state") {
  for (const State state : kAllStates) {
    for (const Event event : kAllEvents) CHECK(step(state, event).next >= state);
  }
}

TEST_CASE("from every state supervision ends within two timers and the saving, whatever the processes do") {
  for (State state : kAllStates) {
    if (state == State::running) continue;  // runs until it is told
    INFO(name_of(state));
    for (const Event event : {Event::grace_over, Event::kill_over, Event::collected})
      state = step(state, event).next;
    CHECK(state == State::done);
  }
}

TEST_CASE("when the stop timeout is nearly over no state waits for a process any more") {
  for (State state : {State::stopping, State::draining, State::killing}) {
    state = step(state, Event::time_nearly_over).next;
    if (state == State::killing) state = step(state, Event::time_nearly_over).next;
    CHECK(state == State::collecting);
  }
  CHECK(step(State::collecting, Event::time_nearly_over).actions == kHurry);
}

TEST_CASE("nothing is done before it was saved or could not be") {
  for (const State state : kAllStates) {
    for (const Event event : kAllEvents) {
      if (state != State::done && step(state, event).next == State::done) {
        CHECK(state == State::collecting);
        CHECK(event == Event::collected);
      }
    }
  }
}

TEST_CASE("a second stop signal kills at once in every state that still waits") {
  for (const State state : {State::running, State::stopping, State::draining}) {
    CHECK(step(state, Event::stop_again).next == State::killing);
    CHECK(step(state, Event::stop_again).actions == kKill);
  }
}

TEST_CASE("the stop timeout is nearly over when a commit still fits") {
  using std::chrono::seconds;
  CHECK(nearly_over(seconds(10)) == seconds(9));
  CHECK(nearly_over(seconds(2)) == Milliseconds(1500));
  CHECK(nearly_over(seconds(0)) == seconds(0));
  for (const int timeout : {0, 1, 2, 4, 10, 30, 60})
    CHECK(grace_within(seconds(30), seconds(timeout)) <= nearly_over(seconds(timeout)));
}

TEST_CASE("the grace leaves time for killing and saving within the stop timeout") {
  using std::chrono::seconds;
  CHECK(grace_within(seconds(5), seconds(10)) == seconds(5));
  CHECK(grace_within(seconds(30), seconds(10)) == seconds(6));
  CHECK(grace_within(seconds(30), seconds(60)) == seconds(30));
  CHECK(grace_within(seconds(5), seconds(4)) == seconds(2));
  CHECK(grace_within(seconds(0), seconds(10)) == seconds(0));
  CHECK(grace_within(seconds(5), seconds(0)) == seconds(0));
}
