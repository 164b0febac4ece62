#pragma once

#include <functional>
#include <vector>

#include "base/time.h"
#include "renew/renewer.h"
#include "supervise/supervisor.h"

namespace claude_init::access {

/// A wait before there is a command to supervise.
struct Wait {
  Milliseconds limit{};                      // options::kForever: none
  std::function<bool()> over;                // asked first, and after everything that happens on the loop
  std::function<renew::Renewer*()> renewer;  // which may be renewing when a stop signal comes; or nullptr
};

/// Runs the loop, reaping, until `over`, or until `limit` is. TERM, INT, HUP and QUIT end the wait, but not a
/// renewal that has begun: returns that signal, else 0.
[[nodiscard]] int wait_until_over(const supervise::Loop& loop, const Wait& wait);

}  // namespace claude_init::access
