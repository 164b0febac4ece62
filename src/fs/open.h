#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/identity.h"

/// Opening files of trees that another process may be changing meanwhile: nothing outside the directory
/// that a call starts from is ever reached. All descriptors are O_CLOEXEC.
namespace claude_init::fs {

/// How a directory is opened for reading that must not be a link.
inline constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

/// What to do with symbolic links on the way and at the end.
enum class Links {
  refuse,   // ELOOP
  beneath,  // followed as long as they stay beneath the starting directory, else EXDEV
};

/// openat2(2) with RESOLVE_BENEATH, or open_beneath_by_hand() where the kernel or a seccomp profile does not
/// offer it. `path` is relative; "" means the directory itself. Absolute paths and ways out are EXDEV.
[[nodiscard]] Result<UniqueFd> open_beneath(int directory, std::string_view path, int flags, Links links,
                                            mode_t mode = 0);

/// The same one component at a time. Only for open_beneath() and for its tests.
[[nodiscard]] Result<UniqueFd> open_beneath_by_hand(int directory, std::string_view path, int flags,
                                                    Links links, mode_t mode = 0);

/// The directory at `path`, which a person named and whose own links are followed, opened with the rights of
/// `who`: for reading, or with O_PATH as a place to open things in. Where `who` may not search the way to it,
/// we go there with our own rights, as open_named() does, and enter it with theirs. Errors: not_found,
/// permission.
[[nodiscard]] Result<UniqueFd> open_root(const std::string& path, Identity who, int flags = O_RDONLY);

struct RegularFile {
  UniqueFd fd;
  struct stat st {};
};
/// A regular file for reading. Never waits (a FIFO, a device). Error invalid: it is something else.
[[nodiscard]] Result<RegularFile> open_regular(int directory, std::string_view path, Links links);

/// Gives an open file or directory that mode. A file system that refuses (SMB, drvfs, some NAS) is followed
/// where its own mode lets nobody else in whom `mode` would not: else error permission, with the mount option
/// that helps.
[[nodiscard]] Result<void> set_mode(int fd, mode_t mode, std::string_view what);

/// Makes the directory `name` (one component) in `parent` with `mode` (set_mode), and opens it. An existing
/// one is opened and keeps its mode; a link is refused.
[[nodiscard]] Result<UniqueFd> make_directory(int parent, const std::string& name, mode_t mode);

/// Where a link leads; "" where that cannot be read, and where the entry is none.
[[nodiscard]] std::string read_link(int directory, const std::string& name);

[[nodiscard]] bool is_same_file(const struct stat& a, const struct stat& b);

/// Whether the open directory `inner` is the directory `outer`, or lies beneath it.
[[nodiscard]] bool is_within(int inner, const struct stat& outer);

/// "is a FIFO", "is a socket", …: what a directory entry is, for a person.
[[nodiscard]] const char* describe_type(mode_t mode);

/// PATH/NAME, or NAME where PATH is "".
[[nodiscard]] std::string join(std::string_view path, std::string_view name);
/// The part before the last "/", "" if there is none; and the part after it.
[[nodiscard]] std::string parent_of(std::string_view path);
[[nodiscard]] std::string name_of(std::string_view path);

}  // namespace claude_init::fs
