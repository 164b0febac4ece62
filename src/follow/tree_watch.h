#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "base/time.h"
#include "fs/identity.h"
#include "loop/debounce.h"
#include "loop/inotify.h"
#include "store/layout.h"

namespace claude_init::follow {

/// Tells that something below a configuration directory that is captured has changed: `interval` after the
/// first change, so that much work costs little, and not at all when nothing happens. By a watch on each
/// directory that a capture enters; while not all of them can be watched, every `interval`.
class TreeWatch : private loop::Inotify::Listener {
 public:
  struct Options {
    std::string root;  // absolute; its own links are followed, none below it is
    fs::Identity who;
    store::Filter filter{};
    Milliseconds interval{30'000};
    // A process may have some hundred thousand watches at best, and others want some too.
    std::size_t max_directories = 4096;
    unsigned max_depth = 64;
    std::function<void()> on_change{};
  };
  TreeWatch(boost::asio::io_context& io, loop::Inotify& inotify, Options options);
  ~TreeWatch() override;
  TreeWatch(const TreeWatch&) = delete;
  TreeWatch& operator=(const TreeWatch&) = delete;

  /// Begins, and calls once: changes from before are not known.
  void start();
  /// Not all of it could be told: tell again after `interval`.
  void notify_again();
  /// The root may be another directory than before: tells if it is.
  void check_root();
  [[nodiscard]] bool polls() const { return !complete_; }

 private:
  void on_event(const loop::Inotify::Event& event) override;
  void watch_all();
  void watch_below(const std::string& relative, unsigned depth);
  void forget_below(const std::string& relative);

  Options options_;
  loop::Inotify& inotify_;
  loop::Debounce again_;
  std::map<int, std::string> paths_;  // relative to the root, "" for itself
  dev_t device_ = 0;                  // of the root that is watched
  ino_t inode_ = 0;
  bool complete_ = false;
};

}  // namespace claude_init::follow
