#include "supervise/shutdown.h"

#include <algorithm>
#include <array>

namespace claude_init::supervise {
namespace {

using Table = std::array<std::array<Step, kEvents>, kStates>;

/// What is not written here changes nothing.
constexpr Table make_table() {
  using enum State;
  using enum Event;
  struct Rule {
    State state;
    Event event;
    State next;
    unsigned actions;
  };
  // clang-format off
  constexpr Rule kRules[] = {
      // state       event              next        actions
      {running,    stop,              stopping,   kTellChild | kTellHelpers | kStartGrace | kSaveNow | kStartTimeout},
      {running,    stop_again,        killing,    kKill},
      {running,    hangup,            stopping,   kTellChild | kTellHelpers | kStartGrace | kSaveNow},
      {running,    child_ended,       draining,   kTellLeftovers | kStartGrace},
      {running,    all_ended,         collecting, kNothing},

      {stopping,   stop,              stopping,   kTellChild | kStartGrace | kStartTimeout},
      {stopping,   stop_again,        killing,    kKill},
      {stopping,   hangup,            stopping,   kTellChild},
      {stopping,   shell_due,         stopping,   kTellShells},
      {stopping,   child_ended,       draining,   kTellLeftovers | kStartGrace},
      {stopping,   all_ended,         collecting, kNothing},
      {stopping,   grace_over,        killing,    kKill},
      {stopping,   time_nearly_over,  killing,    kKill},

      {draining,   stop,              draining,   kTellHelpers | kStartGrace | kSaveNow | kStartTimeout},
      {draining,   stop_again,        killing,    kKill},
      {draining,   hangup,            draining,   kTellHelpers | kStartGrace | kSaveNow},
      {draining,   shell_due,         draining,   kTellShells},
      {draining,   all_ended,         collecting, kNothing},
      {draining,   grace_over,        killing,    kKill},
      {draining,   time_nearly_over,  killing,    kKill},

      {killing,    stop,              killing,    kStartTimeout},
      {killing,    all_ended,         collecting, kNothing},
      {killing,    kill_over,         collecting, kNothing},
      {killing,    time_nearly_over,  collecting, kNothing},

      {collecting, stop,              collecting, kStartTimeout},
      {collecting, stop_again,        collecting, kHurry},
      {collecting, time_nearly_over,  collecting, kHurry},
      {collecting, collected,         done,       kNothing},
  };
  // clang-format on
  Table table{};
  for (int state = 0; state < kStates; ++state) {
    for (Step& cell : table[static_cast<std::size_t>(state)]) cell = {static_cast<State>(state), kNothing};
  }
  for (const Rule& rule : kRules)
    table[static_cast<std::size_t>(rule.state)][static_cast<std::size_t>(rule.event)] = {rule.next, rule.actions};
  return table;
}

constexpr Table kTable = make_table();

}  // namespace

Step step(State state, Event event) {
  return kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

Milliseconds nearly_over(Milliseconds stop_timeout) {
  return stop_timeout - std::min(Milliseconds(1000), stop_timeout / 4);
}

Milliseconds grace_within(Milliseconds grace, Milliseconds stop_timeout) {
  constexpr Milliseconds kReserved{4000};
  return std::min(grace, std::max(stop_timeout - kReserved, stop_timeout / 2));
}

std::string_view name_of(State state) {
  constexpr std::array<std::string_view, kStates> kNames{"running", "stopping",   "draining",
                                                         "killing", "collecting", "done"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace claude_init::supervise
