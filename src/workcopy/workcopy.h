#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/interrupt.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "store/layout.h"
#include "user/account.h"
#include "workcopy/place.h"

namespace claude_init::workcopy {

/// The private directory of one run: PLACE/claude-init-XXXXXXXX/claude, where the inner directory is the
/// CLI's configuration directory. The outer one is ours alone, since the CLI keeps a lock beside its
/// configuration directory, and it is flocked for as long as the run lives: a copy whose lock can be taken is
/// dead and may be removed by anyone. Created as its target user, 0700.
class WorkingCopy {
 public:
  struct Options {
    Places places;
    Demand demand;
    std::string kind = std::string(kRun);  // its name is claude-KIND-XXXXXXXX
  };
  static constexpr std::string_view kRun = "init";  // nothing in it is worth keeping when the run has died

  /// In the first place that is comfortable, else in the first that will just do. Errors: of the last place
  /// that was tried, naming every place and why it will not do.
  [[nodiscard]] static Result<WorkingCopy> create(const user::Account& target, const Options& options);

  [[nodiscard]] const std::string& root() const { return root_; }  // PLACE/claude-init-XXXXXXXX
  [[nodiscard]] std::string name() const;                          // claude-init-XXXXXXXX
  [[nodiscard]] int directory() const { return lock_.get(); }      // that one, open
  [[nodiscard]] store::StatePaths state() const;                   // of the CLI inside it
  [[nodiscard]] bool noexec() const;                               // no program in it can be run

  /// The CLI's configuration directory, whatever the run has put in its place: opened as the target, no link
  /// is followed.
  [[nodiscard]] Result<UniqueFd> open_config_dir() const;

  /// Points ~/.claude and ~/.claude.json of `home` here where nothing is in the way of either (or only a
  /// dangling link to a dead copy, or an empty directory), so that `docker exec -u node … claude` finds the
  /// same login, and what settings name as ~/.claude/… is found. Never an error.
  void link_home(const std::string& home);

  /// A home directory in the copy, for a command that has none it could write to: ~/.claude and
  /// ~/.claude.json lead to the copy, and whatever else `instead_of` ("": nothing) has is linked. Never an
  /// error: what cannot be linked is not there.
  [[nodiscard]] std::string make_home(const std::string& instead_of) const;

  /// Lets the lock live on in the program that replaces us (`--exec`): it goes with that one's process.
  void keep_lock_over_exec();

  /// Removes its login file, which is overwritten first: for what is left of the copy to stay. Never an
  /// error.
  void wipe_login() const;

  /// Removes the links that still point here and the whole copy: the login file, which is overwritten, first
  /// and whatever the deadline. Errors are worth a warning only; limit: the deadline has come, and the rest
  /// stays until a later run removes dead copies. Also the way to end it early; the destructor removes
  /// nothing.
  Result<void> wipe(const Deadline& deadline = {});

 private:
  friend std::vector<WorkingCopy> take_dead_copies(const user::Account&, const Places&, std::string_view);
  [[nodiscard]] static Result<WorkingCopy> create_in(const std::string& place, const user::Account& target,
                                                     const Options& options, Fit fit);
  std::string root_;
  UniqueFd lock_;  // of the outer directory
  user::Account target_;
  std::string linked_home_;
  interrupt::Untidy untidy_;
};

/// The target's copies of that kind in those places whose owners are dead: locked, so they are ours now, to
/// be saved from and wiped. Any process of the target's can make what looks like one: what is in it is
/// believed only if the store knows it (store/copies.h).
[[nodiscard]] std::vector<WorkingCopy> take_dead_copies(const user::Account& target, const Places& places,
                                                        std::string_view kind);

/// Removes the target's copies of kind kRun in those places whose runs are dead (their lock can be taken).
/// Until `deadline`: what is left is the next one's to remove. Returns how many.
std::size_t remove_dead_copies(const user::Account& target, const Places& places,
                               const Deadline& deadline = {});

}  // namespace claude_init::workcopy
