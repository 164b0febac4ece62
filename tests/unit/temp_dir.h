#pragma once

#include <fcntl.h>
#include <ftw.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/unique_fd.h"

namespace claude_init::test {

/// A directory of the test's own, removed with everything in it. Throws where the test cannot be set up.
class TempDir {
 public:
  TempDir() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base != nullptr ? base : "/tmp") + "/claude-init-test-XXXXXX";
    need(::mkdtemp(path_.data()) != nullptr, "mkdtemp");
    // Other users act in it.
    need(::chmod(path_.c_str(), 0755) == 0, "chmod");
    fd_.reset(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~TempDir() {
    ::nftw(
        path_.c_str(), [](const char* p, const struct stat*, int, FTW*) { return ::remove(p); }, 16,
        FTW_DEPTH | FTW_PHYS);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] std::string path(const std::string& name = {}) const {
    return name.empty() ? path_ : path_ + "/" + name;
  }

  void dir(const std::string& name, mode_t mode = 0755) const {
    need(::mkdir(path(name).c_str(), 0700) == 0 && ::chmod(path(name).c_str(), mode) == 0, name);
  }
  void file(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::ofstream(path(name), std::ios::binary | std::ios::trunc) << text;
    need(::chmod(path(name).c_str(), mode) == 0, name);
  }
  void link(const std::string& name, const std::string& target) const {
    need(::symlink(target.c_str(), path(name).c_str()) == 0, name);
  }
  void fifo(const std::string& name) const { need(::mkfifo(path(name).c_str(), 0644) == 0, name); }
  void mtime(const std::string& name, time_t seconds, long nanoseconds = 0) const {
    const timespec times[2] = {{seconds, 0}, {seconds, nanoseconds}};
    need(::utimensat(AT_FDCWD, path(name).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0, name);
  }
  /// Content, "" where there is none: a test that cares asks exists().
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  [[nodiscard]] std::string target(const std::string& name) const {
    char text[4096];
    const ssize_t n = ::readlink(path(name).c_str(), text, sizeof text);
    return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : std::string();
  }
  [[nodiscard]] struct stat stat(const std::string& name = {}) const {
    struct stat st {};
    ::lstat(path(name).c_str(), &st);
    return st;
  }
  [[nodiscard]] bool exists(const std::string& name) const {
    struct stat st {};
    return ::lstat(path(name).c_str(), &st) == 0;
  }
  [[nodiscard]] mode_t mode(const std::string& name) const { return stat(name).st_mode & 07777; }

 private:
  static void need(bool ok, const std::string& what) {
    if (!ok) throw std::runtime_error("test set-up failed: " + what);
  }
  std::string path_;
  UniqueFd fd_;
};

/// A mount on `path` while it lives, however the test ends: a tmpfs with these options, or the path itself
/// once more (a bind mount), which makes it a mount point.
class Mounted {
 public:
  Mounted(std::string path, const char* tmpfs_options) : path_(std::move(path)) {
    ok_ = ::mount("test", path_.c_str(), "tmpfs", 0, tmpfs_options) == 0;
  }
  explicit Mounted(const std::string& path) : Mounted(path, path) {}
  Mounted(const std::string& from, std::string path) : path_(std::move(path)) {
    ok_ = ::mount(from.c_str(), path_.c_str(), nullptr, MS_BIND, nullptr) == 0;
  }
  ~Mounted() {
    if (ok_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  Mounted(const Mounted&) = delete;
  Mounted& operator=(const Mounted&) = delete;
  /// Not in a container without CAP_SYS_ADMIN.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool make_read_only() const {
    return ::mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0;
  }

 private:
  std::string path_;
  bool ok_ = false;
};

inline bool is_root() {
  return ::geteuid() == 0;
}

}  // namespace claude_init::test
