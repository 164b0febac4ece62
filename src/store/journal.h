#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// What a transaction does, written down before it is done. Pure: encoding, parsing and checking only.
namespace claude_init::store {

/// One copy of a file: what has to be found still before it is deleted.
struct Stamp {
  std::uint64_t inode = 0;
  std::int64_t size = 0;
  std::int64_t seconds = 0;  // mtime
  std::int64_t nanoseconds = 0;
  bool operator==(const Stamp&) const = default;
};
[[nodiscard]] Stamp stamp_of(const struct stat& st);

/// Paths are relative to the store's root, in raw bytes.
struct Journal {
  struct Move {
    std::string staged;  // a name in the stage, of this transaction only
    std::string path;    // where it belongs
  };
  struct Deletion {
    std::string path;
    Stamp copy;
  };
  std::vector<Move> moves;
  std::vector<Deletion> deletions;
  std::vector<std::string> directories;  // removed where they are empty by then; a child before its parent
};

/// A line for each entry, with a version before and the number of entries and a CRC-32 behind them:
///     claude-init journal 1
///     move 5f3a21c0-1 projects/a%20b/s.jsonl
///     delete 1234 56 1700000000.000000042 todos/1.json
///     rmdir todos
///     end 3 1c291ca3
/// Bytes of a path that are not printable ASCII, blanks and "%" are written as %XX.
[[nodiscard]] std::string encode(const Journal& journal);

/// Any process that can write to the store can write a journal: nothing that is read here can lead out of the
/// store, into our own directory or to the login files, which no journal ever names. Error invalid: it is
/// damaged, of another version, or names what it must not; the text says which and quotes nothing.
[[nodiscard]] Result<Journal> parse_journal(std::string_view text);

}  // namespace claude_init::store
