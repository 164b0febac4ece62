#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

/// What system calls answer that old kernels do not have (ENOSYS), nor gVisor, and that old seccomp profiles
/// of container engines refuse (EPERM); each has another way here. openat2(2) is in fs/open.
namespace claude_init::fs {

/// faccessat(2) with AT_EACCESS: what the calling thread's rights allow, those of an ActAs. 0 or errno.
[[nodiscard]] int access_by_rights(int directory, const std::string& path, int how);
/// Without faccessat2(2), which Linux has since 5.8. While an ActAs is in force, ACLs do not count.
[[nodiscard]] int access_by_rights_by_hand(int directory, const std::string& path, int how);

/// What an inode keeps through renames and restarts.
struct Birth {
  std::uint64_t inode = 0;
  std::int64_t seconds = 0;  // both 0: not known
  std::uint32_t nanoseconds = 0;
};
/// Of an open file. Without statx(2) (Linux 4.11) the time is not known. Error: errno.
[[nodiscard]] Result<Birth> birth_of(int fd);

/// Whether something is mounted at `name`, also where it comes from the same file system.
[[nodiscard]] bool is_mount_root(int directory, const std::string& name);
/// Without statx(2) of Linux 5.8, by /proc; without that, only what is another file system.
[[nodiscard]] bool is_mount_root_by_hand(int directory, const std::string& name);

/// A new file without a name, in memory where that is possible. `name` is for /proc. Not valid: errno.
[[nodiscard]] UniqueFd nameless_file(const char* name);
/// Without memfd_create(2).
[[nodiscard]] UniqueFd nameless_file_by_hand();

}  // namespace claude_init::fs
