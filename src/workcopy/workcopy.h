#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/interrupt.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "store/layout.h"
#include "workcopy/account.h"
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

  /// Errors: of the last place that was tried, naming every place and why it will not do.
  [[nodiscard]] static Result<WorkingCopy> create(const Account& target, const Options& options);

  [[nodiscard]] const std::string& root() const { return root_; }  // PLACE/claude-init-XXXXXXXX
  [[nodiscard]] store::StatePaths state() const;                   // of the CLI inside it

  /// The CLI's configuration directory, whatever the run has put in its place: opened as the target, no link
  /// is followed.
  [[nodiscard]] Result<UniqueFd> open_config_dir() const;

  /// A small file of ours beside the configuration directory, for whoever finds this copy when we have died.
  [[nodiscard]] Result<void> write_note(std::string_view text) const;
  [[nodiscard]] std::string read_note() const;  // "" where there is none that can be read

  /// Points ~/.claude and ~/.claude.json of `home` here where nothing is in the way of either (or only a
  /// dangling link to a dead copy), so that `docker exec -u node … claude` finds the same login. Never an
  /// error.
  void link_home(const std::string& home);

  /// Lets the lock live on in the program that replaces us (`--exec`): it goes with that one's process.
  void keep_lock_over_exec();

  /// Removes the links that still point here and the whole copy; overwrites the login file first. Errors are
  /// worth a warning only. Also the way to end it early; the destructor removes nothing.
  Result<void> wipe();

 private:
  friend std::vector<WorkingCopy> take_dead_copies(const Account&, const Places&, std::string_view);
  [[nodiscard]] static Result<WorkingCopy> create_in(const std::string& place, const Account& target,
                                                     const Options& options);
  std::string root_;
  UniqueFd lock_;  // of the outer directory
  Account target_;
  std::string linked_home_;
  interrupt::Untidy untidy_;
};

/// The target's copies of that kind in those places whose owners are dead: locked, so they are ours now, to
/// be saved from and wiped.
[[nodiscard]] std::vector<WorkingCopy> take_dead_copies(const Account& target, const Places& places,
                                                        std::string_view kind);

/// Removes the target's copies of kind kRun in those places whose runs are dead (their lock can be taken).
/// Returns how many.
std::size_t remove_dead_copies(const Account& target, const Places& places);

}  // namespace claude_init::workcopy
