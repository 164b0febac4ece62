#pragma once

#include <string>

/// The kind of a file system, by statfs(2): whether other machines may change it behind this kernel's back.
namespace claude_init::fs {

enum class FilesystemKind {
  local,    // only this kernel changes it: flock(2) and inotify(7) know everything
  network,  // another machine may (NFS, SMB, 9p, FUSE, …): inotify does not tell, flock may not reach
  overlay,  // a container's own layer: a change made below it is not told
};

/// Of the file system that the open file or directory lies on; one that cannot be asked counts as `network`,
/// the careful answer.
[[nodiscard]] FilesystemKind kind_of(int fd);

/// The same by path.
[[nodiscard]] FilesystemKind kind_of(const std::string& path);

/// Of a statfs `f_type`.
[[nodiscard]] FilesystemKind kind_of_magic(unsigned long magic);

}  // namespace claude_init::fs
