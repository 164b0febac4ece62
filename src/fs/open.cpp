#include "fs/open.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "base/text.h"
#include "fs/named.h"

namespace claude_init::fs {
namespace {

Error open_error(int number, std::string_view path) {
  return system_error(number, "open " + (path.empty() ? std::string("the directory") : printable(path)));
}

int openat2(int directory, const char* path, const open_how& how) {
  return static_cast<int>(::syscall(SYS_openat2, directory, path, &how, sizeof how));
}

/// Older container engines' seccomp profiles answer EPERM, gVisor and old kernels ENOSYS.
bool have_openat2() {
  static const bool have = [] {
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH;
    const UniqueFd fd(openat2(AT_FDCWD, ".", how));
    return fd.valid();
  }();
  return have;
}

/// Components of `path`, the last one first.
void push_components(std::vector<std::string>& pending, std::string_view path) {
  while (!path.empty()) {
    const std::size_t slash = path.rfind('/');
    const std::string_view last = slash == std::string_view::npos ? path : path.substr(slash + 1);
    if (!last.empty() && last != ".") pending.emplace_back(last);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
  }
}

/// For a file system that keeps no modes, and shows what was to be private with `mode`.
std::string how_to_mount_privately(mode_t mode) {
  return fmt::format(
      "its file system keeps no modes and shows others what is in it (mode {:04o}): mount it for its owner "
      "alone, SMB and Azure Files with -o uid=UID,gid=GID,file_mode=0600,dir_mode=0700, drvfs and others "
      "with "
      "-o uid=UID,gid=GID,umask=077",
      mode & 07777);
}

}  // namespace

Result<UniqueFd> open_beneath(int directory, std::string_view path, int flags, Links links, mode_t mode) {
  if (!have_openat2()) return open_beneath_by_hand(directory, path, flags, links, mode);
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC);
  how.mode = (flags & O_CREAT) != 0 ? mode : 0;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | (links == Links::refuse ? RESOLVE_NO_SYMLINKS : 0);
  const std::string text = path.empty() ? "." : std::string(path);
  // EAGAIN: something was renamed meanwhile, and the kernel could not be sure that ".." stayed beneath.
  for (int attempt = 0; attempt < 64; ++attempt) {
    UniqueFd fd(openat2(directory, text.c_str(), how));
    if (fd.valid()) return fd;
    if (errno != EAGAIN && errno != EINTR) break;
  }
  return open_error(errno, path);
}

// 1. Take the next component; ".." goes back to the directory we came from, and never above the first.
// 2. Open it without following: as a directory to go on from, or, when it is the last, as was asked for.
// 3. If it turns out to be a link: refuse it, or put its components before those that are left.
Result<UniqueFd> open_beneath_by_hand(int directory, std::string_view path, int flags, Links links,
                                      mode_t mode) {
  constexpr int kMaxLinks = 40;  // as the kernel's
  if (path.starts_with('/')) return open_error(EXDEV, path);
  std::vector<UniqueFd> way;
  std::vector<std::string> pending;
  push_components(pending, path);
  int followed = 0;
  const auto here = [&] { return way.empty() ? directory : way.back().get(); };
  while (!pending.empty()) {
    // 1.
    const std::string name = std::move(pending.back());
    pending.pop_back();
    if (name == "..") {
      if (way.empty()) return open_error(EXDEV, path);
      way.pop_back();
      continue;
    }
    // 2.
    const bool last = pending.empty();
    const int how = (last ? flags : O_PATH | O_DIRECTORY) | O_NOFOLLOW | O_CLOEXEC;
    UniqueFd fd(::openat(here(), name.c_str(), how, mode));
    const int error = fd.valid() ? 0 : errno;
    // O_PATH opens the link itself; a directory was asked for and a link is there: ENOTDIR.
    struct stat st {};
    const bool opened_link =
        fd.valid() && (how & O_PATH) != 0 && ::fstat(fd.get(), &st) == 0 && S_ISLNK(st.st_mode);
    if (fd.valid() && !opened_link) {
      if (last) return fd;
      way.push_back(std::move(fd));
      continue;
    }
    // 3.
    if (!opened_link && error != ELOOP && error != ENOTDIR) return open_error(error, path);
    const std::string target = read_link(here(), name);
    if (target.empty()) return open_error(error == 0 ? ENOENT : error, path);
    if (links == Links::refuse || ++followed > kMaxLinks) return open_error(ELOOP, path);
    if (target.starts_with('/')) return open_error(EXDEV, path);
    push_components(pending, target);
  }
  UniqueFd fd(::openat(here(), ".", (flags & ~(O_CREAT | O_EXCL)) | O_CLOEXEC));
  if (!fd.valid()) return open_error(errno, path);
  return fd;
}

Result<UniqueFd> open_root(const std::string& path, Identity who, int flags) {
  const int how = flags | O_DIRECTORY | O_CLOEXEC;
  {
    const ActAs as(who);
    UniqueFd fd(::open(path.c_str(), how));
    if (fd.valid()) return fd;
    if (errno != EACCES) return open_error(errno, path);
  }
  const auto place = open_named(path);
  if (!place) return place.error();
  const ActAs as(who);
  UniqueFd fd(::openat(place->get(), ".", how));
  if (!fd.valid()) return open_error(errno, path);
  return fd;
}

Result<RegularFile> open_regular(int directory, std::string_view path, Links links) {
  auto fd = open_beneath(directory, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, links);
  if (!fd) return fd.error();
  RegularFile file;
  file.fd = std::move(*fd);
  if (::fstat(file.fd.get(), &file.st) != 0) return system_error(errno, "stat " + printable(path));
  if (!S_ISREG(file.st.st_mode)) {
    return make_error(ErrorKind::invalid, printable(path) + " " + describe_type(file.st.st_mode));
  }
  return file;
}

Result<void> set_mode(int fd, mode_t mode, std::string_view what) {
  if (::fchmod(fd, mode) == 0) return Done{};
  const int refusal = errno;
  Error error = system_error(refusal, "set the mode of " + printable(what));
  struct stat st {};
  if ((refusal != EPERM && refusal != EOPNOTSUPP) || ::fstat(fd, &st) != 0) return error;
  constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
  if ((st.st_mode & kOthers & ~mode) == 0) return Done{};
  error.remedy = how_to_mount_privately(st.st_mode);
  return error;
}

Result<UniqueFd> make_directory(int parent, const std::string& name, mode_t mode) {
  const bool made = ::mkdirat(parent, name.c_str(), mode & 0700) == 0;
  if (!made && errno != EEXIST) return system_error(errno, "make directory " + printable(name));
  UniqueFd fd(::openat(parent, name.c_str(), kDirectory));
  if (!fd.valid()) return open_error(errno, name);
  if (made) {
    if (const auto set = set_mode(fd.get(), mode, name); !set) return set.error();
  }
  return fd;
}

std::string read_link(int directory, const std::string& name) {
  std::array<char, PATH_MAX> target{};
  const ssize_t n = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
}

bool is_same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool is_within(int inner, const struct stat& outer) {
  UniqueFd at(::openat(inner, ".", O_PATH | O_DIRECTORY | O_CLOEXEC));
  struct stat before {};
  for (struct stat st{}; at.valid() && ::fstat(at.get(), &st) == 0; before = st) {
    if (is_same_file(st, outer)) return true;
    if (is_same_file(st, before)) return false;  // the root is above itself
    at.reset(::openat(at.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  return false;
}

const char* describe_type(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "is a file";
    case S_IFDIR:
      return "is a directory";
    case S_IFLNK:
      return "is a link";
    case S_IFIFO:
      return "is a FIFO";
    case S_IFSOCK:
      return "is a socket";
    default:
      return "is a device";
  }
}

std::string join(std::string_view path, std::string_view name) {
  std::string out(path);
  if (!out.empty() && !out.ends_with('/')) out += '/';
  return out.append(name);
}

std::string parent_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash));
}

std::string name_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

}  // namespace claude_init::fs
