#pragma once

#include <string_view>

#include "base/time.h"

/// How supervision ends: a pure state machine. The supervisor turns what happens into events and the actions
/// that come back into system calls and timers; docs/supervision.md shows the same table.
namespace claude_init::supervise {

enum class State {
  running,     // the main child runs, and no stop was asked for
  stopping,    // we were asked to stop; the main child has its grace, or all the time that it needs
  draining,    // the main child has gone; what it left behind has its grace, or what is left of it
  killing,     // SIGKILL was sent to everything
  collecting,  // nothing is left to supervise, or nothing more can be done about it: what is to be saved is
               // saved
  done,
};
inline constexpr int kStates = 6;

enum class Event {
  stop,         // the first stop signal
  stop_again,   // another one
  hangup,       // the terminal has gone; or HUP after another stop signal, which is no impatience
  shell_due,    // the foreground group has gone or had its time: an interactive shell may be told
  child_ended,  // the main child
  all_ended,    // we have no child any more
  grace_over,
  kill_over,         // a second after SIGKILL
  time_nearly_over,  // of the stop timeout only what a commit takes is left
  collected,         // what is to be saved is saved, or could not be
};
inline constexpr int kEvents = 10;

/// What to do on a transition, as a set of bits.
enum Action : unsigned {
  kNothing = 0,
  kTellChild = 1,      // the signal to the main child and to the terminal's foreground group
  kTellShells = 2,     // HUP and CONT to interactive shells: they ignore TERM
  kTellLeftovers = 4,  // TERM and CONT to all descendants
  kStartGrace = 8,     // unless it runs already, or the main child has none; a stop signal can shorten it
  kKill = 16,          // KILL to all descendants, repeated until kill_over
  kTellHelpers = 32,   // TERM to what we started ourselves beside the command, once
  kStartTimeout = 64,  // the stop timeout counts from now
  kSaveNow = 128,      // what must not be lost whatever comes is saved at once
  kHurry = 256,        // what is not staged is left out, what is staged is committed
};

struct Step {
  State next;
  unsigned actions;
};

/// Total: every event may come in every state. An event that means nothing there changes nothing.
[[nodiscard]] Step step(State state, Event event);

/// When of the stop timeout only what a commit takes is left: a second before its end; a quarter of it where
/// it is shorter than four.
[[nodiscard]] Milliseconds nearly_over(Milliseconds stop_timeout);

/// How long the grace is. Once we were asked to stop, everything has to fit into `stop_timeout`, of which the
/// last second stays free, one more belongs to SIGKILL and two to saving what has to be saved; but never less
/// than half of it.
[[nodiscard]] Milliseconds grace_within(Milliseconds grace, Milliseconds stop_timeout);

[[nodiscard]] std::string_view name_of(State state);

}  // namespace claude_init::supervise
