#include "fs/named.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/text.h"
#include "fs/open.h"

namespace claude_init::fs {
namespace {

constexpr int kPlace = O_PATH | O_DIRECTORY | O_CLOEXEC;

Error cannot_open(int number, const std::string& path) {
  return system_error(number, "open " + printable(path));
}

/// Where there are no links at all, which is nearly always, one call tells.
UniqueFd open_without_links(const std::string& path) {
  open_how how{};
  how.flags = kPlace;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

/// A way through the file system, one component at a time, and who made the links that it led through.
class Way {
 public:
  /// 0 or errno.
  int go(const std::string& path) {
    if (const int error = start(path); error != 0) return error;
    while (!pending_.empty()) {
      const std::string name = std::move(pending_.back());
      pending_.pop_back();
      UniqueFd next(::openat(here_.get(), name.c_str(), kPlace | O_NOFOLLOW));
      if (next.valid()) {
        here_ = std::move(next);
        continue;
      }
      if (errno != ENOTDIR && errno != ELOOP) return errno;
      if (const int error = follow(name); error != 0) return error;
    }
    return 0;
  }

  [[nodiscard]] UniqueFd take() { return std::move(here_); }
  [[nodiscard]] const std::vector<uid_t>& makers() const { return makers_; }

 private:
  /// Components of `path`, the last one first, and from where.
  int start(const std::string& path) {
    const bool absolute = path.starts_with('/');
    if (absolute || !here_.valid()) here_.reset(::open(absolute ? "/" : ".", kPlace));
    for (std::size_t end = path.size(); end > 0;) {
      const std::size_t slash = path.rfind('/', end - 1);
      const std::size_t begin = slash == std::string::npos ? 0 : slash + 1;
      const std::string name = path.substr(begin, end - begin);
      if (!name.empty() && name != ".") pending_.push_back(name);
      end = slash == std::string::npos ? 0 : slash;
    }
    return here_.valid() ? 0 : errno;
  }

  int follow(const std::string& name) {
    constexpr std::size_t kMaxLinks = 40;  // as the kernel's
    const UniqueFd link(::openat(here_.get(), name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat st {};
    if (!link.valid() || ::fstat(link.get(), &st) != 0) return errno;
    if (!S_ISLNK(st.st_mode)) return ENOTDIR;
    if (makers_.size() == kMaxLinks) return ELOOP;
    const std::string target = read_link(link.get(), "");
    if (target.empty()) return ENOENT;
    makers_.push_back(st.st_uid);
    return start(target);
  }

  UniqueFd here_;
  std::vector<std::string> pending_;
  std::vector<uid_t> makers_;
};

std::string above(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

/// As `who`, and then opened. 0 or errno.
int make_as(int place, const std::string& name, Identity who, UniqueFd& made) {
  const ActAs as(who);
  if (::mkdirat(place, name.c_str(), 0700) != 0) return errno;
  made.reset(::openat(place, name.c_str(), kDirectory));
  return made.valid() ? 0 : errno;
}

}  // namespace

Result<UniqueFd> open_named(const std::string& path) {
  if (::geteuid() != 0) {
    UniqueFd fd(::open(path.c_str(), kPlace));
    return fd.valid() ? Result(std::move(fd)) : cannot_open(errno, path);
  }
  if (UniqueFd fd = open_without_links(path); fd.valid()) return fd;
  Way way;
  if (const int error = way.go(path); error != 0) return cannot_open(error, path);
  UniqueFd fd = way.take();
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0) return cannot_open(errno, path);
  for (const uid_t maker : way.makers()) {
    if (maker == 0 || maker == st.st_uid) continue;
    return make_error(ErrorKind::permission,
                      fmt::format("a link of uid {} in {} leads to a directory of uid {}", maker,
                                  printable(path), st.st_uid),
                      "name the directory itself, or let root make the link");
  }
  return fd;
}

// 1. The directory above.
// 2. As `who`, whose it is then.
// 3. As the owner of the directory above: whatever is moved to that name meanwhile is no more than theirs.
Result<void> make_named(const std::string& named, Identity who) {
  const std::string path = without_slashes(named);
  const auto failed = [&](int number) { return system_error(number, "make " + printable(path)); };
  if (open_named(path)) return Done{};
  // 1.
  const auto place = open_named(above(path));
  if (!place) return place.error();
  struct stat st {};
  if (::fstat(place->get(), &st) != 0) return failed(errno);
  // 2.
  UniqueFd made;
  int error = make_as(place->get(), name_of(path), who, made);
  if (error == 0 || error == EEXIST) return Done{};
  if (error != EACCES && error != EPERM) return failed(error);
  // 3.
  const Identity theirs = rights_for(st);
  error = make_as(place->get(), name_of(path), theirs, made);
  if (error == EEXIST) return Done{};
  if (error != 0) return failed(error);
  const bool ours = ::fstat(made.get(), &st) == 0 && st.st_uid == theirs.uid;
  // Refused to who is not root: then it stays theirs.
  if (ours) static_cast<void>(!::fchown(made.get(), who.uid, who.gid));
  return Done{};
}

Result<void> make_all_named(const std::string& named, std::string* failed) {
  const std::string path = without_slashes(named);
  for (std::size_t i = 1; i <= path.size(); ++i) {
    if (i != path.size() && path[i] != '/') continue;
    const std::string each = path.substr(0, i);
    struct stat st {};
    if (::stat(each.c_str(), &st) == 0) continue;
    const int missing = errno;
    *failed = each;
    if (missing != ENOENT) return cannot_open(missing, each);
    const auto place = open_named(above(each));
    if (!place) return place.error();
    if (::fstat(place->get(), &st) != 0) return cannot_open(errno, each);
    UniqueFd made;
    const int error = make_as(place->get(), name_of(each), rights_for(st), made);
    if (error != 0 && error != EEXIST) return system_error(error, "make " + printable(each));
  }
  return Done{};
}

}  // namespace claude_init::fs
