#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/tree.h"
#include "store/snapshot.h"
#include "store/tree.h"
#include "sync/plan.h"

/// The tree that a plan copies from: what each of its entries is to a copy. Everything is looked at with the
/// rights of its owner, by descriptors: whatever is renamed or swapped meanwhile, we stay in the directory
/// that we opened.
namespace claude_init::sync {

/// A directory of the source while it is looked at.
struct Place {
  int fd = -1;
  std::string path;
  std::string staged;   // where it is read from, as PlannedDirectory says
  std::string outside;  // likewise
  std::size_t depth = 0;
};

/// One found entry of the source.
struct Candidate {
  PlannedEntry entry;
  struct stat st {};
  bool directory = false;
};

/// Several threads may ask at a time.
class Source {
 public:
  /// `not_entered`: a directory in it that is passed over (of a store beneath what it captures).
  Source(const store::Tree& from, const ScanOptions& options, const struct stat* not_entered);

  /// What a directory holds, unsorted; of a store with a journal that has not been applied what it will hold,
  /// and in `staged` what of that is still in the stage. Error limit: the tree has more than is allowed, or
  /// the deadline has come.
  [[nodiscard]] Result<std::vector<fs::Entry>> list(const Place& here, store::Pending::Moves& staged,
                                                    const Deadline& deadline);
  /// Whether it is a file that is copied as it is, with nothing more to be found out.
  [[nodiscard]] bool is_plain_file(const Place& here, const store::DirectoryFilter& filter,
                                   const fs::Entry& entry) const;
  /// What of the entries is to be copied, sorted by name; in `skipped` what should be and cannot.
  [[nodiscard]] std::vector<Candidate> judge(const Place& here, const store::Pending::Moves& staged,
                                             std::vector<fs::Entry>& entries,
                                             std::vector<Skipped>& skipped) const;
  /// A subdirectory; `path` is its own.
  [[nodiscard]] Result<UniqueFd> open(const Place& above, const std::string& path,
                                      const PlannedEntry& entry) const;

 private:
  struct Judging;  // of one directory
  store::Pending::Moves apply_pending(const Place& here, std::vector<fs::Entry>& entries) const;
  [[nodiscard]] std::optional<Candidate> judge_entry(Judging& judging, fs::Entry& entry) const;
  [[nodiscard]] bool judge_link(Judging& judging, const std::string& full, Candidate& candidate) const;
  [[nodiscard]] std::optional<Skipped> follow_out(const Place& here, const std::string& full,
                                                  Candidate& candidate) const;
  [[nodiscard]] bool is_withheld(const std::string& name) const;
  [[nodiscard]] bool is_foreign_hard_link(const struct stat& st) const;
  [[nodiscard]] bool is_wanted_at_top(const std::string& name) const;

  const store::Tree& from_;
  const ScanOptions& options_;
  const struct stat* not_entered_;
  UniqueFd stage_;                      // of a source with a journal that has not been applied
  std::optional<Error> stage_problem_;  // it is there, and cannot be opened now
  std::atomic<std::uint64_t> seen_ = 0;
};

/// What a link in `directory` that leads outside leads to, opened with our present rights: a file or a
/// directory of `owner`'s. Error invalid, without errno: it is neither, or another user's.
[[nodiscard]] Result<UniqueFd> open_outside(int directory, const std::string& name, uid_t owner);

/// The stage of a store with a journal that has not been applied; invalid where it is gone, since everything
/// has been moved by now. With the rights of its owner.
[[nodiscard]] Result<UniqueFd> open_stage_of(int store);

/// What is skipped since it cannot be read; what has gone, or become something else, meanwhile has not
/// failed. `error` is an errno.
[[nodiscard]] Skipped unreadable(std::string path, int error);
[[nodiscard]] Skipped unreadable(std::string path, const Error& error);

/// What to do about a limit that was reached: `option` sets it.
[[nodiscard]] std::string how_to_allow(const std::string& option);

/// Error limit, for this tree: it "has `how` `limit` `what`".
[[nodiscard]] Error too_much(const store::Tree& tree, const char* how, std::uint64_t limit, const char* what,
                             const std::string& option);

}  // namespace claude_init::sync
