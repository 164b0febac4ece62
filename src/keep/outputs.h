#pragma once

#include <deque>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "keep/hook.h"
#include "keep/keeper.h"
#include "keep/listener.h"
#include "keep/report.h"
#include "options/environment.h"
#include "options/options.h"
#include "supervise/supervisor.h"

namespace claude_init::keep {

/// Where the keeper reports: each change to the log and to --on-change, the state of all stores to --listen.
/// None of them can hold up a renewal.
class Outputs {
 public:
  /// `keepers` may still be empty, and has to outlive this.
  Outputs(const supervise::Loop& loop, const options::Keep& options, const options::Environment& environment,
          std::deque<keep::Keeper>& keepers);

  /// Error: usage, or the address cannot be had.
  [[nodiscard]] Result<void> start();
  void report_event(const keep::Keeper& keeper, const keep::Event& event);
  /// Stops the hook and the listener.
  void stop();

 private:
  [[nodiscard]] keep::Report view() const;

  const options::Keep& options_;
  std::deque<keep::Keeper>& keepers_;
  const UnixMs started_;
  keep::Hook hook_;
  std::optional<keep::Listener> listener_;
  boost::asio::io_context& io_;
};

}  // namespace claude_init::keep
