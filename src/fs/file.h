#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/open.h"

/// Whole small files: read with a limit, written completely or not at all. `what` names the file in errors.
namespace claude_init::fs {

/// Whether the content has reached the disk when a call returns.
enum class Sync { no, yes };

/// Everything from the descriptor's position on. Error limit: there are more than `limit` bytes. One buffer
/// only, so that a secret leaves no copies behind.
[[nodiscard]] Result<std::string> read_all(int fd, std::size_t limit, std::string_view what);
[[nodiscard]] Result<std::string> read_all(const RegularFile& file, std::size_t limit, std::string_view what);

/// The content of a file from its beginning: each call gives the next 64 KiB, valid until the one after it;
/// "" at the end, and where it cannot be read, with the errno in `error`. Both have to live as long; the
/// descriptor's position is not used.
[[nodiscard]] std::function<std::string_view()> read_pieces(int fd, int* error = nullptr);

/// Reads from `offset` on until `size` bytes are there or the file ends; how many.
[[nodiscard]] Result<std::size_t> read_at(int fd, char* into, std::size_t size, off_t offset,
                                          std::string_view what);
/// Writes all of `text` at `offset`.
[[nodiscard]] Result<void> write_at(int fd, std::string_view text, off_t offset, std::string_view what);

/// Writes all of `text` at the descriptor's position.
[[nodiscard]] Result<void> write_all(int fd, std::string_view text, std::string_view what);

/// Makes `name` (one component) in `directory` with exactly `mode`. It must not exist (EEXIST; no link is
/// followed). A file that could not be written completely, with Sync::yes to the disk, is removed again.
[[nodiscard]] Result<void> write_file(int directory, const std::string& name, std::string_view text,
                                      mode_t mode, Sync sync);

/// Puts a file of this content in the place of `name` atomically (rename(2)): a reader sees the old or the
/// new one. Sync::yes syncs file and directory. While it is written it is called NAME.tmp.XXXXXXXX, like the
/// CLI's.
[[nodiscard]] Result<void> replace_file(int directory, const std::string& name, std::string_view text,
                                        mode_t mode, Sync sync);

/// The same with the content that `source` has: no more than it had when it was opened, however large.
[[nodiscard]] Result<void> replace_with_copy(int directory, const std::string& name,
                                             const RegularFile& source, mode_t mode);

/// Overwrites a file with zeros, its first MiB: a token is not to be left behind on the free blocks of a
/// disk. `path` is relative. What is not a plain file with this one name may be an attack and stays as it
/// is. Best effort.
void overwrite_file(int directory, const std::string& path);

/// The same of an open file that has no name any more, since another was put in its place.
void overwrite_unnamed(int fd);

/// fsync(2). A file system that does not know it for directories says EINVAL: there is nothing to wait for.
[[nodiscard]] Result<void> sync_to_disk(int fd, std::string_view what);

/// close(2) of a file that was written to: network file systems and quotas tell of a failed write only here.
[[nodiscard]] Result<void> close_checked(UniqueFd fd, std::string_view what);

}  // namespace claude_init::fs
