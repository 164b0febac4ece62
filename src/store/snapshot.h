#pragma once

#include <sys/stat.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/journal.h"
#include "store/tree.h"

namespace claude_init::store {

/// A committed journal, as a reader looks through it: what it moves is read from the stage as long as it is
/// there, what it deletes is not seen. Answers by path relative to the store's root.
class Pending {
 public:
  explicit Pending(Journal journal);

  /// What is moved into this directory: its name there → its name in the stage.
  using Moves = std::map<std::string, std::string, std::less<>>;
  [[nodiscard]] const Moves* moves_into(std::string_view directory) const;
  [[nodiscard]] bool deletes(std::string_view path, const struct stat& st) const;

 private:
  // Ordered, not hashed: who writes a journal could choose paths that collide.
  std::map<std::string, Moves, std::less<>> moves_;  // by directory
  std::map<std::string, Stamp, std::less<>> deletions_;
  std::set<std::string, std::less<>> directories_;
};

/// One whole state of a store, without a lock. A reader
/// 1. takes a snapshot,
/// 2. reads through its tree(),
/// 3. asks whether it holds(): then everything that was read is of one state, that between two transactions.
/// Otherwise something was committed meanwhile, and 1. to 3. are done again.
/// What tells: the journal (or, once it is done, `committed`), the login files, which are transactions of
/// their own, and, in a volume of Kubernetes', where its `..data` leads.
class Snapshot {
 public:
  /// `store` has to outlive it. A journal that cannot be believed is ignored. Errors: permission, io.
  [[nodiscard]] static Result<Snapshot> take(const Tree& store);

  /// The tree to read. Valid as long as this object is not moved or destroyed.
  [[nodiscard]] Tree tree() const;
  [[nodiscard]] bool holds() const;

 private:
  explicit Snapshot(const Tree& store) : store_(store) {}

  /// Identity of a file, or zeros where there is none.
  using Mark = std::array<std::uint64_t, 5>;
  struct Marks {
    Mark transaction{};
    Mark credentials{};
    Mark claude_json{};
    std::string data;  // the target of `..data`
    bool operator==(const Marks&) const = default;
  };
  [[nodiscard]] Marks read_marks() const;

  Tree store_;
  Marks marks_;
  std::vector<Pending> pending_;  // none or one
};

}  // namespace claude_init::store
