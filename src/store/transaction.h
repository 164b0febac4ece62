#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "store/tree.h"

namespace claude_init::store {

/// When new content has to have reached the disk: never, file by file, or all at once before it is put into
/// place (one syncfs(2); cheaper from a handful of files on).
enum class Durability { none, each, bulk };

/// Content is built in ROOT/.claude-init/stage, on the same file system as its place, and moved there by
/// commit(). The destructor drops whatever has not been moved. Everything is done with the rights of the
/// tree's owner, and no link in the tree is followed.
class Transaction {
 public:
  /// Brings a tree back to order in which a transaction ended early: drops what is staged. To be called under
  /// the tree's lock before anything in it is looked at.
  [[nodiscard]] static Result<void> recover(const Tree& tree);

  [[nodiscard]] static Result<Transaction> begin(const Tree& to, const Modes& modes, Durability durability);
  Transaction(Transaction&&) noexcept = default;
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  [[nodiscard]] int stage() const { return stage_.get(); }
  [[nodiscard]] const Modes& modes() const { return modes_; }
  [[nodiscard]] Durability durability() const { return durability_; }
  [[nodiscard]] const Tree& to() const { return to_; }

  /// A name in the stage that nothing has yet.
  [[nodiscard]] std::string new_name() { return std::to_string(++names_); }
  /// What is called `staged` in the stage belongs to `path` (relative to the root). For content that is
  /// durable by now (Durability::each) or will be by commit().
  void add(std::string staged, std::string path) { moves_.push_back({std::move(staged), std::move(path)}); }
  /// A file of this content, durable unless Durability::none, and read back from the disk then.
  [[nodiscard]] Result<void> add_file(std::string_view path, std::string_view text);
  /// Gives what was just made to the tree's owner where we cannot act as them. Best effort.
  void give(int fd) const;

  /// When it succeeds, everything added is in place and, unless Durability::none, survives a power loss. When
  /// it fails, each path has its old or its new content, and a retry is safe.
  [[nodiscard]] Result<void> commit();

 private:
  struct Move {
    std::string staged;
    std::string path;
  };
  Transaction(const Tree& to, const Modes& modes, Durability durability)
      : to_(to), modes_(modes), durability_(durability) {}
  [[nodiscard]] Result<void> move_into_place();
  [[nodiscard]] Result<void> sync_directories(const std::vector<UniqueFd>& directories);
  void drop_stage();

  Tree to_;
  Modes modes_;
  Durability durability_;
  bool act_in_vain_ = false;  // we may not act as the owner, but perhaps chown
  UniqueFd private_;          // ROOT/.claude-init
  UniqueFd stage_;
  unsigned names_ = 0;
  std::vector<Move> moves_;
};

}  // namespace claude_init::store
