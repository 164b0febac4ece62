#pragma once

#include <cstdint>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "store/layout.h"
#include "store/tree.h"
#include "sync/plan.h"

namespace claude_init::sync {

/// The room that sessions have in a store: a quota, and on the file system all but what a renewal of the
/// login needs, an eighth, 16 MiB and 1000 files at most. Each file and each directory counts as 4 KiB more
/// than its data, for it takes an inode and a block.
class SessionRoom {
 public:
  static constexpr std::uint64_t kOverhead = 4096;

  /// What is left beside what is there. Looks with the rights of the tree's owner. Errors: those of
  /// make_plan().
  [[nodiscard]] static Result<SessionRoom> find(const store::Tree& to, const store::Filter& filter,
                                                std::uint64_t quota, const Deadline& deadline);

  /// For all that `plan` has; what it replaces gives its own back. Errors: no_space, limit; with what to do.
  [[nodiscard]] Result<void> take(const Plan& plan);
  /// For another file.
  [[nodiscard]] Result<void> take(std::uint64_t bytes);
  /// For what a file is larger than was planned.
  [[nodiscard]] Result<void> grow(std::uint64_t bytes) { return take(bytes, bytes, 0); }

  /// What helps where there is too much.
  [[nodiscard]] static std::string remedy();

 private:
  explicit SessionRoom(const store::Tree& to) : to_(to) {}
  [[nodiscard]] Result<void> take(std::uint64_t kept, std::uint64_t written, std::uint64_t files);

  store::Tree to_;
  std::uint64_t quota_ = 0;
  std::uint64_t kept_ = 0;  // of the quota
  std::uint64_t free_ = 0;  // on the file system, beside the reserves
  std::uint64_t reserve_ = 0;
  std::uint64_t free_files_ = 0;
};

}  // namespace claude_init::sync
