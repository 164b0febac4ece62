#include "fs/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/interrupt.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/open.h"

namespace claude_init::fs {
namespace {

constexpr unsigned kMaxDepth = 64;  // descriptors held at a time by remove_tree
// For the deadline: a removal may take milliseconds, a name takes none.
constexpr unsigned kRemovalsAtOnce = 32;
constexpr std::size_t kNamesAtOnce = 4096;

Error remove_error(int number, const std::string& name) {
  return system_error(number, "remove " + printable(name));
}

UniqueFd open_to_empty(int parent, const std::string& name) {
  struct stat st {};
  if (::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
      (st.st_mode & 0700) != 0700) {
    // Best effort: opening or unlinking tells if it did not help.
    [[maybe_unused]] const int ignored = ::fchmodat(parent, name.c_str(), 0700, AT_SYMLINK_NOFOLLOW);
  }
  return UniqueFd(::openat(parent, name.c_str(), kDirectory));
}

/// Calls `act` with each name but "." and ".."; an Error of its ends the reading. From the beginning, whoever
/// read from the descriptor before. By getdents64(2): opendir(3) would cost four calls more for each
/// directory.
template <class Act>
Result<void> each_name(int directory, Act act) {
  alignas(dirent64) std::array<char, 32 << 10> buffer;
  if (::lseek(directory, 0, SEEK_SET) < 0) return system_error(errno, "read the directory");
  while (true) {
    const ssize_t n = ::getdents64(directory, buffer.data(), buffer.size());
    if (n < 0) return system_error(errno, "read the directory");
    if (n == 0) return Done{};
    for (ssize_t at = 0; at < n;) {
      const auto* found = reinterpret_cast<const dirent64*>(buffer.data() + at);
      at += found->d_reclen;
      const std::string_view name = found->d_name;
      if (name == "." || name == "..") continue;
      if (auto done = act(found->d_name); !done) return done;
    }
  }
}

/// One pass over a directory. What lies too deep is moved to `top` under a name of its own and counted in
/// `moved`: the next pass over `top` finds it.
class Remover {
 public:
  Remover(int top, const Deadline& deadline) : top_(top), deadline_(deadline) {}

  Result<void> empty(int directory, unsigned depth) {
    std::vector<std::string> names;
    auto read = each_name(directory, [&](const char* name) {
      names.emplace_back(name);
      return names.size() % kNamesAtOnce == 0 ? in_time() : Result<void>(Done{});
    });
    if (!read) return read;
    for (const std::string& name : names) {
      if (++steps_ % kRemovalsAtOnce == 0) {
        if (auto still = in_time(); !still) return still;
      }
      if (auto removed = remove(directory, name, depth); !removed) return removed;
    }
    return Done{};
  }

  [[nodiscard]] bool moved_some() const { return moved_ > moved_before_; }
  void next_pass() { moved_before_ = moved_; }

 private:
  Result<void> remove(int parent, const std::string& name, unsigned depth) {
    if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return Done{};
    if (errno != EISDIR && errno != EPERM) return remove_error(errno, name);
    if (depth == kMaxDepth) {
      while (::renameat(parent, name.c_str(), top_, ("deep-" + std::to_string(moved_++)).c_str()) != 0) {
        const bool taken = errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR;
        if (!taken) return remove_error(errno, name);
      }
      return Done{};
    }
    const UniqueFd directory = open_to_empty(parent, name);
    if (!directory.valid()) return remove_error(errno, name);
    if (auto emptied = empty(directory.get(), depth + 1); !emptied) return emptied;
    if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0) return remove_error(errno, name);
    return Done{};
  }

  Result<void> in_time() {
    if (!deadline_.has_come()) return Done{};
    return make_error(ErrorKind::limit, "there was no time to remove everything");
  }

  int top_;
  const Deadline& deadline_;
  unsigned steps_ = 0;
  unsigned moved_ = 0;
  unsigned moved_before_ = 0;
};

}  // namespace

Result<std::vector<Entry>> list_directory(int directory, std::size_t limit, const Deadline& deadline) {
  constexpr std::size_t kUsual = 32;  // an entry is large: moving them to a larger place would cost as much
  std::vector<Entry> entries;
  entries.reserve(kUsual);
  auto read = each_name(directory, [&](const char* name) -> Result<void> {
    if (interrupt::number() != 0) return interrupt::check();
    if (entries.size() >= limit) return make_error(ErrorKind::limit, "too many files");
    if (entries.size() % kNamesAtOnce == kNamesAtOnce - 1 && deadline.has_come())
      return make_error(ErrorKind::limit, "there was no time to read the directory");
    Entry& entry = entries.emplace_back();
    entry.name = name;
    if (::fstatat(directory, name, &entry.st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
      entry.error = errno;
      // Names may be read here, and nothing else.
      if (errno == EACCES) return system_error(errno, "read the directory");
      if (errno == ENOENT) entries.pop_back();
    }
    return Done{};
  });
  if (!read) return read.error();
  return entries;
}

Result<std::vector<std::string>> list_names(int directory) {
  std::vector<std::string> names;
  auto read = each_name(directory, [&](const char* name) -> Result<void> {
    names.emplace_back(name);
    return Done{};
  });
  if (!read) return read.error();
  return names;
}

Result<std::size_t> count_names(int directory) {
  std::size_t count = 0;
  auto read = each_name(directory, [&](const char*) -> Result<void> {
    ++count;
    return Done{};
  });
  if (!read) return read.error();
  return count;
}

Result<void> remove_tree(int parent, const std::string& name, const Deadline& deadline) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return Done{};
  if (errno != EISDIR && errno != EPERM) return remove_error(errno, name);
  const UniqueFd top = open_to_empty(parent, name);
  if (!top.valid()) return remove_error(errno, name);
  Remover remover(top.get(), deadline);
  do {
    remover.next_pass();
    if (auto emptied = remover.empty(top.get(), 1); !emptied) return emptied;
  } while (remover.moved_some());
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT)
    return remove_error(errno, name);
  return Done{};
}

}  // namespace claude_init::fs
