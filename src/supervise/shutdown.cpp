#include "supervise/shutdown.h"

#include <algorithm>
#include <array>

namespace claude_init::supervise {
namespace {

using enum State;

constexpr unsigned kToldToStop = kTellChild | kTellHelpers | kStartGrace | kSaveNow;
constexpr unsigned kDrainStops = kTellHelpers | kStartGrace | kSaveNow;

constexpr Step kStay[kStates] = {{running, 0}, {stopping, 0},   {draining, 0},
                                 {killing, 0}, {collecting, 0}, {done, 0}};

// Rows in the order of State, columns in the order of Event:
//   stop, stop_again, hangup, shell_due, child_ended, all_ended, grace_over, kill_over, time_nearly_over,
//   collected
constexpr Step kTable[kStates][kEvents] = {
    {{stopping, kToldToStop | kStartTimeout},
     {killing, kKill},
     {stopping, kToldToStop},
     kStay[0],
     {draining, kTellLeftovers | kStartGrace},
     {collecting, 0},
     kStay[0],
     kStay[0],
     kStay[0],
     kStay[0]},
    {{stopping, kTellChild | kStartGrace | kStartTimeout},
     {killing, kKill},
     {stopping, kTellChild},
     {stopping, kTellShells},
     {draining, kTellLeftovers},
     {collecting, 0},
     {killing, kKill},
     kStay[1],
     {killing, kKill},
     kStay[1]},
    {{draining, kDrainStops | kStartTimeout},
     {killing, kKill},
     {draining, kDrainStops},
     {draining, kTellShells},
     kStay[2],
     {collecting, 0},
     {killing, kKill},
     kStay[2],
     {killing, kKill},
     kStay[2]},
    {{killing, kStartTimeout},
     kStay[3],
     kStay[3],
     kStay[3],
     kStay[3],
     {collecting, 0},
     kStay[3],
     {collecting, 0},
     {collecting, 0},
     kStay[3]},
    {{collecting, kStartTimeout},
     {collecting, kHurry},
     kStay[4],
     kStay[4],
     kStay[4],
     kStay[4],
     kStay[4],
     kStay[4],
     {collecting, kHurry},
     {done, 0}},
    {kStay[5], kStay[5], kStay[5], kStay[5], kStay[5], kStay[5], kStay[5], kStay[5], kStay[5], kStay[5]},
};

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
