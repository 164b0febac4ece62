#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/tree.h"
#include "store/tree.h"
#include "sync/plan.h"

namespace claude_init::sync {

/// Finds what one tree has and the other has not (any more), and that may be deleted for it.
class MissingFiles {
 public:
  MissingFiles(const store::Tree& tree, const ScanOptions& options) : tree_(tree), options_(options) {}

  /// Compares one directory of the tree, open, with all entries of its counterpart. `present` of them are
  /// known to be in it: where it has no more than these, nothing is missing.
  void compare(int directory, const std::string& path, const std::vector<fs::Entry>& entries,
               std::size_t present);

  /// Takes over what `later` has found, of the same tree.
  void merge(MissingFiles&& later);

  /// What was found, into `plan`.
  void add_to(Plan& plan);

 private:
  bool is_gone(int parent, const std::string& path, const std::string& name, unsigned depth);
  bool is_directory_gone(int parent, const std::string& path, const std::string& name, unsigned depth);
  [[nodiscard]] bool may_go(const std::string& path, const struct stat& st) const;

  const store::Tree& tree_;
  const ScanOptions& options_;
  std::vector<store::Journal::Deletion> files_;
  std::vector<std::string> directories_;
};

}  // namespace claude_init::sync
