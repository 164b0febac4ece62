#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "supervise/signals.h"
#include "supervise/spawn.h"

namespace boost::asio {
class io_context;
}

namespace claude_init::supervise {

struct Options {
  Milliseconds grace{5000};  // between TERM and KILL (the CLI needs 3 s to save a token it is fetching)
  Milliseconds stop_timeout{10'000};  // what the engine gives us between its TERM and its KILL
  bool group = false;                 // forward to the child's process group
  std::map<int, int> rewrite;         // signal → signal sent instead; 0 drops it
  std::map<int, int> remap_exit;      // exit status → exit status
  int pdeathsig = 0;                  // sent to us when our parent dies
  enum class Hup { automatic, never } hup = Hup::automatic;
  std::vector<int> stop_signals{SIGTERM};  // those that end everything; all others are only forwarded. A
                                           // hangup of the terminal always does.
};

struct Outcome {
  int exit_status = 0;            // as a shell shows it: status, 128+n, 126, 127; remapped
  bool exited = false;            // the command ran and ended by itself, not by a signal
  int stop_signal = 0;            // the signal that stopped us; 0 if the child ended by itself
  bool killed_leftovers = false;  // something did not end within the grace
  /// By when we must be gone: stop-timeout less a second after the stop signal.
  SteadyTime deadline = SteadyTime::max();
};

/// Runs `command` as our only child until it and everything it left behind have gone: reaping (as PID 1 or as
/// subreaper), forwarding, terminal, stop and grace as docs/supervision.md describes. Returns when nothing
/// is left to supervise, with our signals still blocked and the terminal's modes restored. `io` is run
/// meanwhile, with whatever else waits on it, and can be run again afterwards. Error: the child could not be
/// started for a reason of ours (fork); a command that is not there is an Outcome with 127.
[[nodiscard]] Result<Outcome> supervise(boost::asio::io_context& io, const Inherited& inherited,
                                        const Options& options, const Command& command);

}  // namespace claude_init::supervise
