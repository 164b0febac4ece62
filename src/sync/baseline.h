#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string_view>
#include <vector>

namespace claude_init::sync {

/// What one session has restored or captured: for each path which copy the store had then. It is the proof
/// without which a capture deletes nothing, and tells what the session itself has changed from what somebody
/// else has changed in the store meanwhile. Filled by restore(), read and brought up to date by capture().
/// Kept in memory only, 24 bytes a path, by hashes: an accidental match would need the same path hash and the
/// same inode, size and time of modification.
class Baseline {
 public:
  Baseline();

  /// `st` is the store's copy of `path` (relative to its root). The last note of a path counts.
  void note(std::string_view path, const struct stat& st);
  /// Takes over what `later` has noted. Both must come from the same session (`later = b.empty_copy()`).
  void merge(Baseline&& later);
  /// One without entries whose entries can be merged into this one.
  [[nodiscard]] Baseline empty_copy() const;

  /// Afterwards, until something is noted, several threads may ask at a time.
  void sort() const;

  /// Whether the path was restored or captured.
  [[nodiscard]] bool has(std::string_view path) const;
  /// Whether `st`, the store's copy now, is still the one that was noted: same inode, size and mtime. A
  /// directory is the same as long as its inode is.
  [[nodiscard]] bool is_same_copy(std::string_view path, const struct stat& st) const;
  /// Whether `st`, a session's file now, has the size and mtime that were noted: the session did not change
  /// it.
  [[nodiscard]] bool is_same_content(std::string_view path, const struct stat& st) const;

  [[nodiscard]] std::size_t size() const;

 private:
  explicit Baseline(std::uint64_t seed) : seed_(seed) {}
  struct Entry {
    std::uint64_t path = 0;
    std::uint64_t content = 0;
    std::uint64_t inode = 0;
  };
  [[nodiscard]] std::uint64_t hash_of(std::string_view path) const;
  [[nodiscard]] const Entry* find(std::string_view path) const;

  std::uint64_t seed_;
  // Sorted by path up to `sorted_`; what was noted since is sorted in on demand.
  mutable std::vector<Entry> entries_;
  mutable std::size_t sorted_ = 0;
};

}  // namespace claude_init::sync
