#include "fs/newer_calls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"

namespace claude_init::fs {
namespace {

int faccessat2(int directory, const char* path, int how) {
  return static_cast<int>(::syscall(SYS_faccessat2, directory, path, how, AT_EACCESS));
}

/// Asked once: EPERM of a later call is about its file (chattr(1) +i), and not about the call.
bool have_faccessat2() {
  static const bool have = faccessat2(AT_FDCWD, "/", F_OK) == 0;
  return have;
}

bool is_in_group(gid_t gid, const std::vector<gid_t>& groups) {
  return std::find(groups.begin(), groups.end(), gid) != groups.end();
}

/// As the kernel judges by the mode (path_resolution(7)) who has no capabilities.
bool mode_allows(const struct stat& st, Identity who, int how) {
  int shift = 0;
  if (st.st_uid == who.uid) {
    shift = 6;
  } else if (st.st_gid == who.gid || is_in_group(st.st_gid, supplementary_groups())) {
    shift = 3;
  }
  return (static_cast<int>(st.st_mode >> shift) & how) == how;
}

/// Of an open descriptor, by its line in /proc; -1 where there is none.
int mount_id(int fd) {
  constexpr std::size_t kMost = 4096;
  constexpr std::string_view kLabel = "mnt_id:";
  const UniqueFd info(::open(fmt::format("/proc/self/fdinfo/{}", fd).c_str(), O_RDONLY | O_CLOEXEC));
  const auto text = info.valid() ? read_all(info.get(), kMost, "fdinfo") : Result<std::string>(std::string());
  const std::size_t at = text ? text->find(kLabel) : std::string::npos;
  if (at == std::string::npos) return -1;
  std::string_view number = std::string_view(*text).substr(at + kLabel.size());
  number = number.substr(0, number.find('\n'));
  number.remove_prefix(std::min(number.find_first_not_of(" \t"), number.size()));
  int id = -1;
  return read_number(number, id) ? id : -1;
}

}  // namespace

int access_by_rights(int directory, const std::string& path, int how) {
  if (!have_faccessat2()) return access_by_rights_by_hand(directory, path, how);
  return faccessat2(directory, path.c_str(), how) == 0 ? 0 : errno;
}

// 1. As the user that we really are, faccessat(2) of Linux 2.6 answers, which asks for the real user.
// 2. Else by mode: who is no root while acting as another user has no capabilities for files either.
int access_by_rights_by_hand(int directory, const std::string& path, int how) {
  const Identity who = rights_now();
  // 1.
  if (who.uid == ::getuid()) {
    return ::syscall(SYS_faccessat, directory, path.c_str(), how) == 0 ? 0 : errno;
  }
  // 2.
  const UniqueFd fd(::openat(directory, path.c_str(), O_PATH | O_CLOEXEC));
  struct stat st {};
  struct statvfs fs {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || ::fstatvfs(fd.get(), &fs) != 0) return errno;
  if ((how & W_OK) != 0 && (fs.f_flag & ST_RDONLY) != 0) return EROFS;
  return mode_allows(st, who, how) ? 0 : EACCES;
}

Result<Birth> birth_of(int fd) {
  struct statx stx {};
  if (::statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &stx) == 0) {
    const bool born = (stx.stx_mask & STATX_BTIME) != 0;
    return Birth{stx.stx_ino, born ? stx.stx_btime.tv_sec : 0, born ? stx.stx_btime.tv_nsec : 0};
  }
  struct stat st {};
  if (::fstat(fd, &st) != 0) return system_error(errno, "look at a file");
  return Birth{st.st_ino, 0, 0};
}

bool is_mount_root(int directory, const std::string& name) {
  struct statx stx {};
  const int done = ::statx(directory, name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &stx);
  if (done != 0 || (stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0)
    return is_mount_root_by_hand(directory, name);
  return (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

bool is_mount_root_by_hand(int directory, const std::string& name) {
  const UniqueFd fd(::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat there {};
  struct stat here {};
  if (!fd.valid() || ::fstat(fd.get(), &there) != 0 || ::fstat(directory, &here) != 0) return false;
  return there.st_dev != here.st_dev || mount_id(fd.get()) != mount_id(directory);
}

UniqueFd nameless_file(const char* name) {
  UniqueFd fd(::memfd_create(name, MFD_CLOEXEC));
  return fd.valid() ? std::move(fd) : nameless_file_by_hand();
}

UniqueFd nameless_file_by_hand() {
  UniqueFd fd;
  for (const char* place : {"/dev/shm", "/run", "/tmp"}) {
    fd.reset(::open(place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (fd.valid()) break;
  }
  return fd;
}

}  // namespace claude_init::fs
