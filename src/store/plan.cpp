#include "store/plan.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <optional>

#include "base/text.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "store/state_file.h"

namespace claude_init::store {
namespace {

constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool is_atomic_writer_entry(std::string_view name) {
  return name.starts_with("..") && name != "..";
}

/// A link that leads through `..data` or its like.
bool leads_through_atomic_writer(std::string_view target) {
  while (!target.empty()) {
    const std::string_view component = target.substr(0, target.find('/'));
    if (is_atomic_writer_entry(component)) return true;
    target.remove_prefix(std::min(component.size() + 1, target.size()));
  }
  return false;
}

std::uint64_t data_bytes(const struct stat& st) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::min<std::int64_t>(st.st_size, st.st_blocks * 512)));
}

bool same_content(const struct stat& a, const struct stat& b) {
  return S_ISREG(b.st_mode) && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

std::string read_link(int directory, const std::string& name) {
  std::array<char, PATH_MAX> target{};
  const ssize_t n = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  return n > 0 ? std::string(target.data(), static_cast<std::size_t>(n)) : std::string();
}

/// Neither can it be renamed over, nor anything be renamed into it from outside.
bool is_mount_root(int directory, const std::string& name) {
  struct statx stx {};
  return ::statx(directory, name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &stx) == 0 &&
         (stx.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

std::string cannot_be_read(int error) {
  return system_error(error, "cannot be read").message();
}

/// One found entry of the source and what the other side has in its place.
struct Candidate {
  PlannedEntry entry;
  struct stat st {};
  bool directory = false;
};

class Scanner {
 public:
  Scanner(const Tree& from, const Tree* to, const ScanOptions& options)
      : from_(from), to_(to), options_(options) {}

  Result<Plan> run() {
    struct stat from_st {};
    if (::fstat(from_.root, &from_st) != 0) return system_error(errno, "stat " + printable(from_.path));
    if (to_ != nullptr && ::fstat(to_->root, &to_root_) != 0) {
      return system_error(errno, "stat " + printable(to_->path));
    }
    if (to_ != nullptr && same_file(from_st, to_root_)) {
      return make_error(ErrorKind::invalid,
                        printable(from_.path) + " and " + printable(to_->path) + " are the same directory");
    }
    if (auto done = scan(from_.root, to_ == nullptr ? -1 : to_->root, PlannedDirectory{}, 0); !done) {
      return done.error();
    }
    return std::move(plan_);
  }

 private:
  // One directory, with descriptors: whatever is renamed or swapped meanwhile, we stay in the one we opened.
  // 1. List the source, with its owner's rights, and sort out what is not to be copied.
  // 2. Look at what the other side has in its place, with its owner's rights.
  // 3. Note what differs; then the subdirectories.
  Result<void> scan(int from, int to, PlannedDirectory here, std::size_t depth) {
    if (depth > options_.limits.max_depth)
      return too_much("deeper than", options_.limits.max_depth, "directories");
    // 1.
    auto candidates = list(from, here.path, depth);
    if (!candidates && !here.path.empty() && candidates.error().number != 0) {
      skip(here.path, cannot_be_read(candidates.error().number));
      return Done{};
    }
    if (!candidates) return candidates.error();
    // 2.
    if (to >= 0) look_at_other_side(to, here.path, *candidates);
    // 3.
    std::vector<Candidate> subdirectories;
    for (Candidate& candidate : *candidates) {
      if (candidate.directory) {
        subdirectories.push_back(std::move(candidate));
        continue;
      }
      plan_.files += 1;
      plan_.bytes += candidate.entry.bytes;
      plan_.has_executables |= (candidate.st.st_mode & S_IXUSR) != 0 && candidate.entry.link_target.empty();
      here.entries.push_back(std::move(candidate.entry));
    }
    if (plan_.bytes > options_.limits.max_bytes) {
      return make_error(ErrorKind::limit, "more than " + format_bytes(options_.limits.max_bytes) + " in " +
                                              printable(from_.path));
    }
    const std::string path = here.path;
    if (here.is_new || !here.entries.empty()) plan_.directories.push_back(std::move(here));
    for (const Candidate& sub : subdirectories) {
      if (auto done = descend(from, to, path, sub, depth); !done) return done;
    }
    return Done{};
  }

  Result<void> descend(int from, int to, const std::string& path, const Candidate& sub, std::size_t depth) {
    PlannedDirectory below;
    below.path = fs::join(path, sub.entry.name);
    UniqueFd from_fd;
    int error = 0;
    {
      const fs::ActAs as(from_.who);
      if (sub.entry.through_link) {
        auto opened = fs::open_beneath(from_.root, below.path, kDirectory & ~O_NOFOLLOW, fs::Links::beneath);
        if (opened) from_fd = std::move(*opened);
        error = opened ? 0 : opened.error().number;
      } else {
        from_fd.reset(::openat(from, sub.entry.name.c_str(), kDirectory));
        error = errno;
      }
    }
    if (!from_fd.valid()) {
      skip(below.path, cannot_be_read(error));
      return Done{};
    }
    UniqueFd to_fd;
    if (sub.entry.replaces) {
      const fs::ActAs as(to_->who);
      to_fd.reset(::openat(to, sub.entry.name.c_str(), kDirectory));
      if (!to_fd.valid()) {
        skip(below.path, system_error(errno, "the directory in its place cannot be read").message());
        return Done{};
      }
    }
    below.is_new = !to_fd.valid();
    return scan(from_fd.get(), to_fd.get(), std::move(below), depth + 1);
  }

  Result<std::vector<Candidate>> list(int from, const std::string& path, std::size_t depth) {
    const fs::ActAs as(from_.who);
    auto entries = fs::list_directory(from, options_.limits.max_files - seen_);
    if (!entries) {
      if (entries.error().number != 0) return entries.error_with(printable(fs::join(from_.path, path)));
      return too_much("more than", options_.limits.max_files, "files");
    }
    seen_ += entries->size();
    std::vector<Candidate> candidates;
    candidates.reserve(entries->size());
    for (fs::Entry& entry : *entries) {
      if (auto candidate = judge(from, path, depth, entry)) candidates.push_back(std::move(*candidate));
    }
    return candidates;
  }

  /// What an entry of the source is to us; nothing if it is not copied.
  std::optional<Candidate> judge(int from, const std::string& path, std::size_t depth, fs::Entry& entry) {
    const std::string full = fs::join(path, entry.name);
    if (!wanted(path, full, entry)) return std::nullopt;
    Candidate candidate;
    candidate.st = entry.st;
    candidate.entry.name = std::move(entry.name);
    if (entry.error != 0) {
      skip(full, cannot_be_read(entry.error));
      return std::nullopt;
    }
    if (S_ISLNK(entry.st.st_mode) && !judge_link(from, full, depth, candidate)) return std::nullopt;
    const struct stat& st = candidate.st;
    candidate.directory = S_ISDIR(st.st_mode);
    if (S_ISREG(st.st_mode) && st.st_nlink > 1 && st.st_uid != from_.who.uid) {
      skip(full, "is a hard link to a file of another user");
      return std::nullopt;
    }
    if (!candidate.directory && !S_ISREG(st.st_mode) && candidate.entry.link_target.empty()) {
      skip(full, fs::describe_type(st.st_mode));
      return std::nullopt;
    }
    // A store beneath what it captures would swallow itself, each time deeper.
    if (candidate.directory && to_ != nullptr && same_file(st, to_root_)) return std::nullopt;
    candidate.entry.bytes = S_ISREG(st.st_mode) ? data_bytes(st) : 0;
    return candidate;
  }

  [[nodiscard]] bool wanted(const std::string& path, const std::string& full, const fs::Entry& entry) const {
    if (path.empty()) {
      if (full == kCredentials || full == kClaudeJson || is_atomic_writer_entry(full)) return false;
      if (options_.extent == Extent::login && !is_settings_file(full)) return false;
      if (options_.extent == Extent::sessions && !is_sessions_directory(full)) return false;
    }
    return S_ISDIR(entry.st.st_mode) ? options_.filter.enters(full) : options_.filter.captures(full);
  }

  /// Decides whether a link is kept, followed (then `candidate` becomes what it points to) or skipped.
  bool judge_link(int from, const std::string& full, std::size_t depth, Candidate& candidate) {
    const std::string target = read_link(from, candidate.entry.name);
    std::string kept = kept_target(target, depth, from_.path);
    if (kept.empty()) {
      skip(full, "points outside");
      return false;
    }
    if (!leads_through_atomic_writer(kept)) {
      candidate.entry.link_target = std::move(kept);
      return true;
    }
    const auto opened = fs::open_beneath(from_.root, full, O_PATH, fs::Links::beneath);
    if (!opened || ::fstat(opened->get(), &candidate.st) != 0) {
      skip(full, cannot_be_read(opened ? errno : opened.error().number));
      return false;
    }
    candidate.entry.through_link = true;
    return true;
  }

  /// Drops the candidates that are there already, and those that cannot be put where something else is.
  void look_at_other_side(int to, const std::string& path, std::vector<Candidate>& candidates) {
    const fs::ActAs as(to_->who);
    std::erase_if(candidates, [&](Candidate& candidate) {
      const std::string& name = candidate.entry.name;
      struct stat st {};
      if (::fstatat(to, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return false;
      candidate.entry.replaces = true;
      if (is_unchanged(to, candidate, st)) {
        plan_.unchanged += 1;
        return true;
      }
      const bool mount = is_mount_root(to, name);
      if (mount || candidate.directory != S_ISDIR(st.st_mode)) {
        skip(fs::join(path, name), std::string("what is in its place ") +
                                       (mount ? "is a mount of its own" : fs::describe_type(st.st_mode)));
        return true;
      }
      return false;
    });
  }

  [[nodiscard]] bool is_unchanged(int to, const Candidate& candidate, const struct stat& st) const {
    if (candidate.directory || S_ISDIR(st.st_mode)) return false;
    if (options_.keep_newer && is_newer(st, candidate.st)) return true;
    const std::string& target = candidate.entry.link_target;
    if (target.empty()) return !options_.distrust_times && same_content(candidate.st, st);
    return S_ISLNK(st.st_mode) && read_link(to, candidate.entry.name) == target;
  }

  void skip(const std::string& path, std::string reason) {
    plan_.skipped.push_back({path, std::move(reason)});
  }

  [[nodiscard]] Error too_much(const char* how, std::uint64_t limit, const char* what) const {
    return make_error(ErrorKind::limit,
                      printable(from_.path) + " has " + how + " " + std::to_string(limit) + " " + what);
  }

  const Tree& from_;
  const Tree* to_;
  const ScanOptions& options_;
  struct stat to_root_ {};
  std::uint64_t seen_ = 0;
  Plan plan_;
};

}  // namespace

Result<Plan> make_plan(const Tree& from, const Tree* to, const ScanOptions& options) {
  return Scanner(from, to, options).run();
}

std::string kept_target(std::string_view target, std::size_t depth, std::string_view root) {
  std::string kept;
  if (target.starts_with('/')) {
    if (root.empty() || !target.starts_with(root) || target.size() <= root.size() ||
        target[root.size()] != '/') {
      return {};
    }
    target.remove_prefix(root.size() + 1);
    for (std::size_t i = 0; i < depth; ++i) kept += "../";
    depth = 0;  // no further up
  }
  std::size_t up = 0;
  bool going_up = true;
  for (std::string_view rest = target; !rest.empty();) {
    const std::string_view component = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(component.size() + 1, rest.size()));
    if (component.empty() || component == ".") continue;
    if (component == ".." && (!going_up || ++up > depth)) return {};
    if (component != "..") going_up = false;
  }
  return kept.append(target);
}

}  // namespace claude_init::store
