#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/interrupt.h"
#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "store/tree.h"

namespace claude_init::lock {

/// The locks that the CLI itself takes on a configuration directory, held by us while we replace a login or a
/// `.claude.json` in a store: other containers may have mounted that as their ~/.claude. They are empty
/// directories, made with mkdir(2), that the CLI takes over when they are older than a minute (facts about
/// the CLI, 11).
///
/// A fresh one of a CLI's is waited for; an older one is taken over, as the CLI does. Ours are recognised by
/// their sticky bit, which the CLI never sets: a process that holds the store's own lock and finds one knows
/// that its maker was killed, and takes it over at once. They never stay behind for longer than the CLI's
/// minute.
///
/// To be used under the "store" lock, for milliseconds: there is no heartbeat.
class CliLocks {
 public:
  enum class What {
    login,     // .oauth_refresh.lock, DIR.lock beside the directory where it can be made, .storage-write.lock
    settings,  // .claude.json.lock
  };
  /// Takes them in the CLI's order, with the rights of `tree.who`. Error busy: a CLI has held one until
  /// `until`; others: one inside the directory cannot be made.
  [[nodiscard]] static Result<CliLocks> take(const store::Tree& tree, What what, SteadyTime until);
  /// Gives them back.
  ~CliLocks();
  CliLocks(CliLocks&&) noexcept = default;
  CliLocks& operator=(CliLocks&&) = delete;

 private:
  struct Held {
    int directory = -1;
    std::string name;
    ino_t inode = 0;
  };
  explicit CliLocks(fs::Identity who) : who_(who) {}
  [[nodiscard]] Result<void> take_one(int directory, const std::string& name, const store::Tree& tree,
                                      SteadyTime until);

  fs::Identity who_;
  UniqueFd root_;
  UniqueFd beside_;
  std::vector<Held> held_;
  interrupt::Untidy untidy_;
};

}  // namespace claude_init::lock
