#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "base/time.h"
#include "follow/publisher.h"
#include "keep/login_monitor.h"
#include "keep/report.h"
#include "login/secrets.h"
#include "loop/debounce.h"
#include "loop/file_watch.h"
#include "loop/inotify.h"
#include "store/store.h"
#include "sync/capture.h"

namespace claude_init::keep {

/// One directory that a keeper publishes its store into. What fails is tried again every 10 s.
class Outlet {
 public:
  struct Options {
    std::string store;      // absolute
    std::string directory;  // absolute, of the published store
    login::Withheld withheld = login::Withheld::refresh_tokens;
    std::string take_over;  // what to type where the directory is another user's; "" where it is not known
  };
  /// `how` is how the keeper opens the store, and may change; `counts` gets what is published. Both are the
  /// keeper's. `on_change` is called when obstacle() may be another one.
  Outlet(boost::asio::io_context& io, loop::Inotify& inotify, Options options, const store::StoreOptions& how,
         Publishing& counts, std::function<void()> on_change);

  /// Publishes all there is, and from then on what changes; nothing where that is being done, or has failed
  /// just now. A store that is not there has nothing to publish.
  void start_if_needed();
  void stop();
  /// What is left to be published, until `deadline`. Says what failed.
  void finish(const Deadline& deadline);

  /// Why it does not work; no reason where it does.
  [[nodiscard]] const Obstacle& obstacle() const { return obstacle_; }

 private:
  void publish();
  void published(const Result<sync::CaptureReport>& outcome);
  void published_change(const Result<sync::CaptureReport>& outcome);
  void check_published();

  boost::asio::io_context& io_;
  loop::Inotify& inotify_;
  const Options options_;
  const store::StoreOptions& how_;
  Publishing& counts_;
  const std::function<void()> on_change_;
  const UnixMs started_;
  std::optional<uid_t> owner_;  // of the directory: the first one's it stays
  std::optional<follow::Publisher> publisher_;
  std::optional<loop::FileWatch> login_;  // that was published
  loop::Debounce again_;
  Obstacle obstacle_;
  bool told_jobs_ = false;  // that it works: what an earlier keeper has left is taken away
  bool stopped_ = false;
};

}  // namespace claude_init::keep
