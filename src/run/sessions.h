#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "options/options.h"
#include "store/store.h"
#include "sync/restore.h"
#include "sync/session_baseline.h"
#include "user/account.h"
#include "workcopy/workcopy.h"

namespace claude_init::run {

/// Where the command runs, as the CLI will name it.
[[nodiscard]] std::string working_directory();

/// The sessions that outlive a run (--persist=sessions): kept in the store, or in the directory of
/// --sessions.
class KeptSessions {
 public:
  /// Proves that they can be saved later, before anything is run. Errors: not_found, read_only, permission,
  /// no_space; each with what to do.
  [[nodiscard]] static Result<KeptSessions> open(const options::Run& options, const std::string& store_path);

  /// The kind of working copies whose sessions are kept here: other runs do not remove them when their run
  /// has died.
  [[nodiscard]] std::string kind() const;

  /// Saves what runs that died have left in their copies, and wipes those. Copies that are not noted in the
  /// place where the sessions are kept are not looked into. Never an error: what cannot be saved stays where
  /// it is, and is named.
  void save_leftovers(const user::Account& account, const workcopy::Places& places) const;

  /// What giving them to a copy takes beside the rest of the state.
  [[nodiscard]] Result<sync::Size> measure() const;
  /// Gives those of the working directory to a copy that has the rest of its state, and notes what that was.
  [[nodiscard]] Result<void> give(const workcopy::WorkingCopy& copy, const user::Account& account);

  /// Saves what the run has added; what is not done when the deadline comes is an error too. Nothing of the
  /// copy is touched: when it stays, the next run that keeps its sessions here saves them.
  [[nodiscard]] Result<void> save(const workcopy::WorkingCopy& copy, const user::Account& account,
                                  const Deadline& deadline) const;

 private:
  KeptSessions(store::Store place, const options::Run& options);
  [[nodiscard]] Result<void> merge(const workcopy::WorkingCopy& copy, const user::Account& account,
                                   const sync::SessionBaseline& given, const Deadline& deadline) const;

  store::Store place_;
  sync::RestoreOptions what_;
  std::vector<std::string> saved_;  // patterns of what is saved
  std::uint64_t max_bytes_;
  bool already_given_;  // with the whole state of the store
  sync::SessionBaseline given_;
};

}  // namespace claude_init::run
