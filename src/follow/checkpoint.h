#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>

#include "base/time.h"
#include "follow/tree_watch.h"
#include "fs/identity.h"
#include "loop/debounce.h"
#include "loop/file_watch.h"
#include "loop/inotify.h"
#include "store/layout.h"
#include "sync/capture.h"

namespace claude_init::follow {

/// Has a session's state saved while it runs, so that a container that is killed loses nothing. The login
/// (`.credentials.json`, `.claude.json`): `settle` after it was last written, and within 600 ms (or `settle`,
/// where that is longer) in any case, so that with the saving it is a second at the most. The rest: 30 s
/// after it began to change. No wakeups when nothing happens. Nothing is missed: what happens before a watch
/// is there, beyond a full queue or while no watch is left is looked for.
class Checkpoint {
 public:
  enum class Saved {
    done,
    not_all,  // there was no time for all of it, or another process holds the store: again soon
    nothing,  // nor for any of it: again soon, with more time
    failed,   // again later
  };
  struct Options {
    store::StatePaths state;
    fs::Identity who;  // whose state it is
    store::Filter filter{};
    Milliseconds settle{300};
    bool only_here = true;  // only this kernel changes it, whatever the file system
    std::function<Saved()> save_login{};
    /// Returns by the deadline, or soon after, since a signal waits meanwhile. Empty: only the login is
    /// saved.
    std::function<Saved(SteadyTime deadline)> save_rest{};
  };
  Checkpoint(boost::asio::io_context& io, loop::Inotify& inotify, Options options);

  /// What a capture that had so much time came to.
  [[nodiscard]] static Saved saved(const sync::CaptureReport& report);

  /// Begins. Also looks at once: the login may have been written before.
  void start();

 private:
  void save_login();
  void save_rest();

  Options options_;
  loop::FileWatch credentials_;
  loop::FileWatch settings_;
  std::optional<TreeWatch> tree_;
  loop::Debounce login_due_;
  loop::Debounce login_soon_;
  loop::Debounce login_again_;
  loop::Debounce rest_again_;
  Milliseconds slice_;  // how long one saving of the rest may keep the loop
};

}  // namespace claude_init::follow
