#include "fs/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/random.h"
#include "base/text.h"
#include "fs/copy.h"

namespace claude_init::fs {
namespace {

std::string doing(std::string_view verb, std::string_view what) {
  return std::string(verb) + " " + printable(what);
}

Result<void> fill(UniqueFd fd, const std::string& name, std::string_view text, mode_t mode, Sync sync) {
  if (auto written = write_all(fd.get(), text, name); !written) return written;
  // The umask and a default ACL have had their say in the mode: set what was asked for.
  if (auto set = set_mode(fd.get(), mode, name); !set) return set;
  if (sync == Sync::yes) {
    if (auto synced = sync_to_disk(fd.get(), name); !synced) return synced;
  }
  return close_checked(std::move(fd), name);
}

std::string temporary_name(const std::string& name) {
  std::array<char, 16> digits{};
  std::snprintf(digits.data(), digits.size(), ".tmp.%08x", static_cast<std::uint32_t>(random_number()));
  return name + digits.data();
}

Result<void> put_in_place(int directory, const std::string& temporary, const std::string& name) {
  if (::renameat(directory, temporary.c_str(), directory, name.c_str()) == 0) return Done{};
  const int error = errno;
  ::unlinkat(directory, temporary.c_str(), 0);
  return system_error(error, doing("replace", name));
}

Result<std::string> read_sized(int fd, off_t size, std::size_t limit, std::string_view what) {
  // /proc says 0, and a file can grow: one byte more than expected shows that there is more. A secret is a
  // file of known size and so never moves.
  std::string text;
  std::size_t used = 0;
  text.resize(std::min(size > 0 ? static_cast<std::size_t>(size) : 16384, limit) + 1);
  while (true) {
    const ssize_t n = ::read(fd, text.data() + used, text.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, doing("read", what));
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
    if (used > limit) {
      return make_error(ErrorKind::limit, printable(what) + " is larger than " + format_bytes(limit));
    }
    if (used == text.size()) text.resize(std::min(2 * text.size(), limit + 1));
  }
  text.resize(used);
  return text;
}

/// Where it is a plain file with so many names.
void overwrite(int fd, nlink_t names) {
  constexpr off_t kMost = 1 << 20;
  struct stat st {};
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_nlink != names) return;
  static constexpr std::array<char, 4096> kZeros{};
  const off_t size = std::min(st.st_size, kMost);
  for (off_t at = 0; at < size;) {
    const auto part = std::min(static_cast<std::size_t>(size - at), kZeros.size());
    const ssize_t n = ::pwrite(fd, kZeros.data(), part, at);
    if (n <= 0) return;
    at += n;
  }
  (void)::fdatasync(fd);
}

}  // namespace

Result<std::string> read_all(int fd, std::size_t limit, std::string_view what) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return system_error(errno, doing("stat", what));
  return read_sized(fd, st.st_size, limit, what);
}

Result<std::string> read_all(const RegularFile& file, std::size_t limit, std::string_view what) {
  return read_sized(file.fd.get(), file.st.st_size, limit, what);
}

std::function<std::string_view()> read_pieces(int fd, int* error) {
  constexpr std::size_t kPiece = std::size_t{64} << 10;
  const auto piece = std::make_shared<std::string>(kPiece, '\0');
  return [fd, error, piece, offset = off_t{0}]() mutable -> std::string_view {
    ssize_t n = 0;
    do {
      n = ::pread(fd, piece->data(), piece->size(), offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && error != nullptr) *error = errno;
    if (n <= 0) return {};
    offset += n;
    return std::string_view(*piece).substr(0, static_cast<std::size_t>(n));
  };
}

Result<std::size_t> read_at(int fd, char* into, std::size_t size, off_t offset, std::string_view what) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t n = ::pread(fd, into + done, size - done, offset + static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, std::string(what));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

Result<void> write_at(int fd, std::string_view text, off_t offset, std::string_view what) {
  while (!text.empty()) {
    const ssize_t n = ::pwrite(fd, text.data(), text.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, std::string(what));
    text.remove_prefix(static_cast<std::size_t>(n));
    offset += n;
  }
  return Done{};
}

Result<void> write_all(int fd, std::string_view text, std::string_view what) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, doing("write", what));
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return Done{};
}

Result<void> write_file(int directory, const std::string& name, std::string_view text, mode_t mode,
                        Sync sync) {
  UniqueFd fd(::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return system_error(errno, doing("create", name));
  auto done = fill(std::move(fd), name, text, mode, sync);
  if (!done) ::unlinkat(directory, name.c_str(), 0);
  return done;
}

Result<void> replace_file(int directory, const std::string& name, std::string_view text, mode_t mode,
                          Sync sync) {
  const std::string temporary = temporary_name(name);
  if (auto written = write_file(directory, temporary, text, mode, sync); !written) return written;
  if (auto put = put_in_place(directory, temporary, name); !put) return put;
  return sync == Sync::yes ? sync_to_disk(directory, "the directory of " + name) : Result<void>(Done{});
}

Result<void> replace_with_copy(int directory, const std::string& name, const RegularFile& source,
                               mode_t mode) {
  const std::string temporary = temporary_name(name);
  UniqueFd fd(
      ::openat(directory, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd.valid()) return system_error(errno, doing("create", name));
  const auto copied = Copier().copy(source.fd.get(), fd.get(), source.st, {});
  Result<void> done = !copied ? copied.error()
                      : copied->end != Copied::End::complete
                          ? system_error(copied->read_error, doing("read", name))
                      : ::fchmod(fd.get(), mode) != 0 ? system_error(errno, doing("set the mode of", name))
                                                      : close_checked(std::move(fd), name);
  if (!done) {
    ::unlinkat(directory, temporary.c_str(), 0);
    return done;
  }
  return put_in_place(directory, temporary, name);
}

void overwrite_file(int directory, const std::string& path) {
  const UniqueFd fd(
      ::openat(directory, path.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (fd.valid()) overwrite(fd.get(), 1);
}

void overwrite_unnamed(int fd) {
  overwrite(fd, 0);
}

Result<void> sync_to_disk(int fd, std::string_view what) {
  while (::fsync(fd) != 0) {
    if (errno == EINTR) continue;
    if (errno == EINVAL) break;
    return system_error(errno, doing("sync", what));
  }
  return Done{};
}

Result<void> close_checked(UniqueFd fd, std::string_view what) {
  // Linux has released the descriptor even when close says EINTR.
  if (::close(fd.release()) != 0 && errno != EINTR) return system_error(errno, doing("close", what));
  return Done{};
}

}  // namespace claude_init::fs
