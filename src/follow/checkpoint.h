#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>

#include "base/time.h"
#include "follow/debounce.h"
#include "follow/file_watch.h"
#include "follow/inotify.h"
#include "follow/tree_watch.h"
#include "fs/identity.h"
#include "store/layout.h"

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
    not_all,  // somebody else holds the store, or something has to be done first: again soon
    failed,   // again later
  };
  struct Options {
    store::StatePaths state;
    fs::Identity who;  // whose state it is
    store::Filter filter{};
    Milliseconds settle{300};
    std::function<Saved()> save_login{};
    std::function<Saved()> save_rest{};  // empty: only the login is saved
  };
  Checkpoint(boost::asio::io_context& io, Inotify& inotify, Options options);

  /// Begins. Also looks at once: the login may have been written before.
  void start();

 private:
  void save_login();
  void save_rest();

  Options options_;
  FileWatch credentials_;
  FileWatch settings_;
  std::optional<TreeWatch> tree_;
  Debounce login_due_;
  Debounce login_again_;
  Debounce rest_again_;
};

}  // namespace claude_init::follow
