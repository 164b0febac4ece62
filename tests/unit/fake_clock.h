#pragma once

#include <functional>

#include "base/time.h"

namespace claude_init::test {

/// The time of a program that was linked with fake_clock.cpp: it stands still but for what a test lets pass,
/// or what the code under test sleeps. Steady clock, wall clock and the timers of both; a condition
/// variable's timeout never comes. What happens for real (children, file systems) is waited for with
/// `really`.
void let_pass(Milliseconds time);

/// Called for each time the code under test sleeps, when that time has passed; empty again when this goes.
class WhileSleeping {
 public:
  explicit WhileSleeping(std::function<void()> call);
  ~WhileSleeping();
  WhileSleeping(const WhileSleeping&) = delete;
  WhileSleeping& operator=(const WhileSleeping&) = delete;
};

/// Waits until `done`, with no time passing on the fake clock. False: it gave up after a minute.
[[nodiscard]] bool really(const std::function<bool()>& done);

}  // namespace claude_init::test
