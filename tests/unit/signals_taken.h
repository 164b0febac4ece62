#pragma once

#include <signal.h>

#include "supervise/signals.h"

/// All signals blocked as main does it, for the time of a test.
class SignalsTaken {
 public:
  SignalsTaken() : inherited((obey_hangup(), claude_init::supervise::take_over_signals())) {}
  ~SignalsTaken() { claude_init::supervise::give_back_signals(inherited); }
  SignalsTaken(const SignalsTaken&) = delete;
  SignalsTaken& operator=(const SignalsTaken&) = delete;
  const claude_init::supervise::Inherited inherited;

 private:
  /// The tests may have been started by nohup.
  static void obey_hangup() { ::signal(SIGHUP, SIG_DFL); }
};
