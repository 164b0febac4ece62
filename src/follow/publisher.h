#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "base/time.h"
#include "follow/checkpoint.h"
#include "login/secrets.h"
#include "loop/inotify.h"
#include "store/layout.h"
#include "store/store.h"
#include "sync/capture.h"

namespace claude_init::follow {

struct Publication {
  login::Withheld withheld = login::Withheld::refresh_tokens;
  store::Filter filter{};
  store::Extent extent = store::Extent::all;
  Milliseconds wait{5000};              // for another process's capture to end
  Deadline deadline{};                  // what is not staged then is left out
  sync::Baseline* baseline = nullptr;   // what was published before; what of it has gone goes too
};

/// Brings `into`, which comes from store::open_published(), up to what the store `from` has: one capture,
/// judged like any other, with those tokens withheld.
[[nodiscard]] Result<sync::CaptureReport> publish(const store::Store& from, const store::Store& into,
                                                  const Publication& publication);

/// Keeps a published store like the store that it is published from: the login as soon as that changes, the
/// rest half a minute after.
class Publisher {
 public:
  struct Options {
    std::string store;  // absolute
    store::Store into;  // from sync::open_published(), which was told of the same `withheld`
    login::Withheld withheld = login::Withheld::refresh_tokens;
    store::Filter filter{};
    store::StoreOptions how{};  // `store` is opened
    Milliseconds wait{5000};    // of start(), for another process that publishes
    /// Called with the outcome of each publication of a change, to report it; that it has to wait for others
    /// only where that takes longer than a few seconds. Empty: it is logged.
    std::function<void(const Result<sync::CaptureReport>&)> on_outcome{};
  };
  Publisher(boost::asio::io_context& io, loop::Inotify& inotify, Options options);

  /// Publishes all there is, and what changes from then on.
  Result<sync::CaptureReport> start();
  /// Publishes once more, until `deadline`.
  Result<void> finish(const Deadline& deadline);

 private:
  [[nodiscard]] Checkpoint::Saved publish_change(store::Extent extent, const Deadline& deadline);
  [[nodiscard]] Result<sync::CaptureReport> publish_all(const Publication& publication) const;
  void log_outcome(const Result<sync::CaptureReport>& outcome);
  void name_withheld(const Result<sync::CaptureReport>& outcome);

  Options options_;
  sync::Baseline baseline_;
  Checkpoint changes_;
  bool failed_ = false;                   // said once, until it succeeds
  std::optional<SteadyTime> busy_since_;  // others hold the lock
  std::set<std::string> withheld_;        // files that have been named
};

}  // namespace claude_init::follow
