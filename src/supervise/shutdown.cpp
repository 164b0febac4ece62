#include "supervise/shutdown.h"

#include <algorithm>
#include <array>

namespace claude_init::supervise {
namespace {

using enum State;

constexpr Step kStay[kStates] = {{running, 0}, {stopping, 0}, {draining, 0}, {killing, 0}, {over, 0}};

// Rows in the order of State, columns in the order of Event:
//   stop, stop_again, hangup, shell_due, child_ended, all_ended, grace_over, kill_over
constexpr Step kTable[kStates][kEvents] = {
    {{stopping, kTellChild | kTellHelpers | kStartGrace},
     {killing, kKill},
     {stopping, kTellChild | kTellHelpers | kStartGrace},
     kStay[0],
     {draining, kTellLeftovers | kStartGrace},
     {over, 0},
     kStay[0],
     kStay[0]},
    {{stopping, kTellChild | kStartGrace},
     {killing, kKill},
     {stopping, kTellChild},
     {stopping, kTellShells},
     {draining, kTellLeftovers},
     {over, 0},
     {killing, kKill},
     kStay[1]},
    {{draining, kTellHelpers | kStartGrace},
     {killing, kKill},
     {draining, kTellHelpers | kStartGrace},
     {draining, kTellShells},
     kStay[2],
     {over, 0},
     {killing, kKill},
     kStay[2]},
    {kStay[3], kStay[3], kStay[3], kStay[3], kStay[3], {over, 0}, kStay[3], {over, 0}},
    {kStay[4], kStay[4], kStay[4], kStay[4], kStay[4], kStay[4], kStay[4], kStay[4]},
};

}  // namespace

Step step(State state, Event event) {
  return kTable[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

Milliseconds grace_within(Milliseconds grace, Milliseconds stop_timeout) {
  constexpr Milliseconds kReserved{4000};
  return std::min(grace, std::max(stop_timeout - kReserved, stop_timeout / 2));
}

std::string_view name_of(State state) {
  constexpr std::array<std::string_view, kStates> kNames{"running", "stopping", "draining", "killing",
                                                         "over"};
  return kNames[static_cast<std::size_t>(state)];
}

}  // namespace claude_init::supervise
