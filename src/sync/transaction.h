#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/journal.h"
#include "store/tree.h"

namespace claude_init::sync {

/// When new content has to have reached the disk: never, file by file, or all at once before the commit (one
/// syncfs(2); cheaper from a handful of files on).
enum class Durability { none, each, bulk };

/// `each` or `bulk`, for so many files and directories.
[[nodiscard]] Durability durability_for(std::uint64_t entries);

/// Content is built in ROOT/.claude-init/stage, on the same file system as its place. commit() writes down
/// what goes where in ROOT/.claude-init/journal; from then on it is done, whatever happens: readers look
/// through the journal (store/snapshot.h), and recover() finishes what a crash has cut off. When all is in
/// place the journal is renamed to `committed`, which tells readers that something was. The destructor drops
/// what was not committed. Everything is done with the rights of the tree's owner, and no link is followed.
class Transaction {
 public:
  /// Brings a tree back to order in which a transaction ended early: rolls a committed one forward, drops
  /// what is staged of another. A journal that cannot be believed is set aside as `journal.damaged`, and
  /// said. To be called under the tree's lock before anything in it is changed. May be cut off at any point.
  [[nodiscard]] static Result<void> recover(const store::Tree& tree);

  /// Recovers first.
  [[nodiscard]] static Result<Transaction> begin(const store::Tree& to, const store::Modes& modes,
                                                 Durability durability);
  Transaction(Transaction&&) noexcept = default;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  [[nodiscard]] int stage() const { return stage_.get(); }
  [[nodiscard]] const store::Modes& modes() const { return modes_; }
  [[nodiscard]] Durability durability() const { return durability_; }
  [[nodiscard]] const store::Tree& to() const { return to_; }

  /// A name in the stage that nothing has, or has had in an earlier transaction: whoever still reads through
  /// that one's journal must not find what is not committed.
  [[nodiscard]] std::string new_name();
  /// What is called `staged` in the stage belongs to `path` (relative to the root). For content that is
  /// durable by now (Durability::each) or will be by commit().
  void add(std::string staged, std::string path);
  /// A file of this content, durable unless Durability::none, and read back from the disk then.
  [[nodiscard]] Result<void> add_file(std::string_view path, std::string_view text);
  /// Files that go, if they are still the same copies then, and directories that go, if they are empty then;
  /// of these a child before its parent.
  void remove(std::vector<store::Journal::Deletion> files, std::vector<std::string> directories);
  /// Gives what was just made to the tree's owner where we cannot act as them. Best effort.
  void give(int fd) const;

  /// Nothing is to be put into place or removed.
  [[nodiscard]] bool is_empty() const {
    return journal_.moves.empty() && journal_.deletions.empty() && journal_.directories.empty();
  }

  /// When it succeeds, everything is in place and, unless Durability::none, survives a power loss. An error
  /// before the commit point leaves all as it was. One after it leaves the rest to recover(), or, where
  /// something foreign is in the way of one path, leaves out that path.
  [[nodiscard]] Result<void> commit();

 private:
  Transaction(const store::Tree& to, const store::Modes& modes, Durability durability);
  [[nodiscard]] bool needs_journal() const;
  [[nodiscard]] Result<void> write_journal();
  [[nodiscard]] Result<void> put_login_into_place();
  [[nodiscard]] Result<void> put_into_place(bool journaled);
  void drop_stage();

  store::Tree to_;
  store::Modes modes_;
  Durability durability_;
  bool act_in_vain_ = false;  // we may not act as the owner, but perhaps chown
  bool committed_ = false;    // and not in place yet: the stage is needed
  UniqueFd private_;          // ROOT/.claude-init
  UniqueFd stage_;
  std::string id_;
  unsigned names_ = 0;
  store::Journal journal_;
};

}  // namespace claude_init::sync
