#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "base/time.h"
#include "loop/reaper.h"
#include "supervise/signals.h"
#include "supervise/spawn.h"

namespace boost::asio {
class io_context;
}

namespace claude_init::supervise {

/// What the command leaves behind always has it; the command itself where nothing else is said.
inline constexpr Milliseconds kGrace{5000};

struct Options {
  // Between TERM and KILL (the CLI needs 3 s to save a token it is fetching). None: the command is not killed
  // by us, however long it takes; what it leaves behind has kGrace.
  std::optional<Milliseconds> grace{kGrace};
  // The time from the engine's TERM to its KILL, into which everything has to fit. None: not
  // known, and nothing is cut to it.
  std::optional<Milliseconds> stop_timeout{10'000};
  bool group = false;                      // forward to the child's process group
  std::map<int, int> rewrite;              // signal → signal sent instead; 0 drops it
  std::map<int, int> remap_exit;           // exit status → exit status
  int pdeathsig = 0;                       // sent to us when our parent dies
  std::vector<int> stop_signals{SIGTERM};  // those that end everything; all others are only forwarded. A
                                           // hangup of the terminal always does.
};

/// As with any other PID 1, a command that is still at work after TERM is left to the engine's KILL.
[[nodiscard]] inline Options left_to_the_engine() {
  Options options;
  options.grace.reset();
  options.stop_timeout.reset();
  return options;
}

struct Outcome {
  int exit_status = 0;            // as a shell shows it: status, 128+n, 126, 127; remapped
  bool executed = true;           // false: the command could not be, with 126 or 127
  bool exited = false;            // the command ran and ended by itself, not by a signal
  int stop_signal = 0;            // the signal that stopped us; 0 if the child ended by itself
  bool killed_leftovers = false;  // something did not end within the grace
};

/// The one event loop, and what it takes to start a child on it beside the command: spawn() with `inherited`
/// and no terminal, then Reaper::watch().
struct Loop {
  boost::asio::io_context& io;
  loop::Reaper& reaper;
  const Inherited& inherited;
};

/// What the caller does along with the command; each may be empty.
struct Hooks {
  /// The end has begun: a stop signal came, or the command has ended. Called once. Start no child from here
  /// on.
  std::function<void()> ending;

  /// A stop signal came and was passed on: saves what must not be lost whatever comes, within milliseconds.
  std::function<void()> save_now;

  /// Everything has ended and the terminal is ours again: saves the rest. Nothing else of the loop runs
  /// meanwhile; signals are looked at whenever the deadline is asked, so that is to be done often. It comes
  /// when of the stop timeout only what a commit takes is left, at once with another stop signal, and never
  /// if nobody wants us to stop: what is not staged then is to be left out and named.
  std::function<void(const Deadline&)> collect;
};

/// Runs `command` until it and everything it left behind have gone and what is to be saved is saved: reaping
/// (as PID 1 or as subreaper), forwarding, terminal, stop and grace as docs/supervision.md describes. Returns
/// when nothing is left to supervise, with our signals still blocked and the terminal's modes restored. The
/// loop is run meanwhile, with whatever else waits on it, and can be run again afterwards.
///
/// Other children that somebody watches (helpers, each the leader of its group) are waited for as well. They
/// are not left over by the command: its end does not end them, and they have the grace to finish. A stop
/// signal sends them TERM at once; when the grace is over they are killed like everything else. One that
/// could not even be killed is not told about any more when this has returned.
///
/// Without a command (no argv) nothing is started, and only a stop signal ends it.
///
/// Where the loop fails this goes on with signals only, and says so. Error: the child could not be started
/// for a reason of ours (fork), we were interrupted before (base/interrupt.h, which does not listen from here
/// on), or the system does not tell of signals or of children's ends, and everything was ended; a command
/// that is not there is an Outcome with 127.
[[nodiscard]] Result<Outcome> supervise(const Loop& loop, const Options& options, const Command& command,
                                        const Hooks& hooks = {});

/// The same for a caller that has nothing else to do meanwhile: without a loop, which costs fewer calls and
/// less memory. Leaves our working directory.
[[nodiscard]] Result<Outcome> supervise_alone(const Inherited& inherited, const Options& options,
                                              const Command& command);

}  // namespace claude_init::supervise
