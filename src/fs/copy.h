#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"

namespace claude_init::fs {

struct Copied {
  enum class End {
    complete,     // everything that the source had, up to its size when it was opened
    out_of_time,  // the deadline came first
    unreadable,   // the source could not be read: `read_error` is the errno
  };
  End end = End::complete;
  int read_error = 0;
  std::uint64_t bytes = 0;  // data written; holes do not count
};

/// Copies the data of regular files by the cheapest way there is: sharing blocks (FICLONE), then inside the
/// kernel (copy_file_range), then read and write. Remembers what the two file systems cannot do, so use one
/// Copier for one pair of them. Holes stay holes.
class Copier {
 public:
  /// How the data gets to the disk: when the system writes it, or, of a large file, as it is copied, so that
  /// no later sync has much to wait for.
  enum class Writes { later, as_it_goes };
  explicit Copier(Writes writes = Writes::later) : writes_(writes) {}

  /// `to` is empty and open for writing. No more than `st.st_size` bytes are copied, so a file that grows
  /// while it is copied ends. The deadline is asked every few MiB. An Error is one of writing,
  /// or interrupted.
  [[nodiscard]] Result<Copied> copy(int from, int to, const struct stat& st, const Deadline& deadline);

  /// The same of a file of at most `kEditedAtOnce` bytes, whose data `edit` may change in place before any of
  /// it is written. Holes are filled.
  static constexpr std::int64_t kEditedAtOnce = 128 << 10;
  using Edit = std::function<void(char* data, std::size_t size)>;
  [[nodiscard]] Result<Copied> copy_edited(int from, int to, const struct stat& st, const Edit& edit);

 private:
  bool clone(int from, int to, const struct stat& st);
  [[nodiscard]] Result<Copied> copy_range(int from, int to, std::int64_t begin, std::int64_t end,
                                          const Deadline& deadline);
  [[nodiscard]] Result<Copied> copy_holes(int from, int to, const struct stat& st, const Deadline& deadline);

  [[nodiscard]] Result<void> write_out(int to, std::int64_t at);

  Writes writes_;
  std::int64_t written_out_ = 0;  // of the present file
  bool can_clone_ = true;
  bool can_copy_range_ = true;
  std::vector<char> buffer_;
};

}  // namespace claude_init::fs
