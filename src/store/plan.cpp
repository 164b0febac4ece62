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
#include "store/missing.h"
#include "store/snapshot.h"
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

/// A directory of the source while it is looked at.
struct Place {
  int fd = -1;
  std::string path;
  std::string staged;  // where it is read from, as PlannedDirectory says
  std::size_t depth = 0;
};

class Scanner {
 public:
  Scanner(const Tree& from, const Tree* to, const ScanOptions& options)
      : from_(from), to_(to), options_(options) {
    if (to != nullptr && options.deletions != Deletions::none && options.extent == Extent::all)
      missing_.emplace(*to, options);
  }

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
    if (from_.pending != nullptr) {
      const fs::ActAs as(from_.who);
      auto stage = fs::open_beneath(from_.root, fs::join(kPrivateDir, kStage), kDirectory, fs::Links::refuse);
      if (stage) stage_ = std::move(*stage);  // else everything has been moved
    }
    const Place root{from_.root, {}, {}, 0};
    if (auto done = scan(root, to_ == nullptr ? -1 : to_->root, false); !done) return done.error();
    // A source in which nothing is captured is one that was emptied, or never filled.
    if (missing_ && files_seen_ > 0) missing_->add_to(plan_);
    return std::move(plan_);
  }

 private:
  // One directory, with descriptors: whatever is renamed or swapped meanwhile, we stay in the one we opened.
  // 1. List the source, with its owner's rights, and sort out what is not to be copied.
  // 2. Look at what the other side has in its place, with its owner's rights.
  // 3. Note what differs; then the subdirectories.
  Result<void> scan(const Place& here, int to, bool is_new) {
    if (here.depth > options_.limits.max_depth)
      return too_much("deeper than", options_.limits.max_depth, "directories");
    // 1.
    auto candidates = list(here, to);
    if (!candidates && !here.path.empty() && candidates.error().number != 0) {
      skip(here.path, cannot_be_read(candidates.error().number));
      return Done{};
    }
    if (!candidates) return candidates.error();
    // 2.
    if (to >= 0) look_at_other_side(to, here.path, *candidates);
    // 3.
    PlannedDirectory planned{here.path, here.staged, is_new, {}};
    std::vector<Candidate> subdirectories;
    for (Candidate& candidate : *candidates) {
      if (candidate.directory) {
        subdirectories.push_back(std::move(candidate));
        continue;
      }
      plan_.files += 1;
      plan_.bytes += candidate.entry.bytes;
      plan_.has_executables |= (candidate.st.st_mode & S_IXUSR) != 0 && candidate.entry.link_target.empty();
      planned.entries.push_back(std::move(candidate.entry));
    }
    if (plan_.bytes > options_.limits.max_bytes) {
      return make_error(ErrorKind::limit, "more than " + format_bytes(options_.limits.max_bytes) + " in " +
                                              printable(from_.path));
    }
    if (is_new || !planned.entries.empty()) plan_.directories.push_back(std::move(planned));
    for (const Candidate& sub : subdirectories) {
      if (auto done = descend(here, to, sub); !done) return done;
    }
    return Done{};
  }

  Result<void> descend(const Place& above, int to, const Candidate& sub) {
    const PlannedEntry& entry = sub.entry;
    Place below{-1, fs::join(above.path, entry.name), {}, above.depth + 1};
    if (!entry.staged.empty()) below.staged = fs::join(fs::join(kPrivateDir, kStage), entry.staged);
    if (!above.staged.empty()) below.staged = fs::join(above.staged, entry.name);
    const auto from = open_source(above, below.path, entry);
    if (!from) {
      skip(below.path, cannot_be_read(from.error().number));
      return Done{};
    }
    below.fd = from->get();
    UniqueFd to_fd;
    if (entry.replaces) {
      const fs::ActAs as(to_->who);
      to_fd.reset(::openat(to, entry.name.c_str(), kDirectory));
      if (!to_fd.valid()) {
        skip(below.path, system_error(errno, "the directory in its place cannot be read").message());
        return Done{};
      }
    }
    return scan(below, to_fd.get(), !to_fd.valid());
  }

  [[nodiscard]] Result<UniqueFd> open_source(const Place& above, const std::string& path,
                                             const PlannedEntry& entry) const {
    const fs::ActAs as(from_.who);
    if (entry.through_link)
      return fs::open_beneath(from_.root, path, kDirectory & ~O_NOFOLLOW, fs::Links::beneath);
    UniqueFd fd;
    if (!entry.staged.empty()) fd.reset(::openat(stage_.get(), entry.staged.c_str(), kDirectory));
    if (!fd.valid()) fd.reset(::openat(above.fd, entry.name.c_str(), kDirectory));
    if (!fd.valid()) return system_error(errno, "open");
    return fd;
  }

  Result<std::vector<Candidate>> list(const Place& here, int to) {
    Pending::Moves staged;
    auto entries = [&] {
      const fs::ActAs as(from_.who);
      auto found = fs::list_directory(here.fd, options_.limits.max_files - seen_);
      if (found && from_.pending != nullptr && here.staged.empty()) staged = look_through(here, *found);
      return found;
    }();
    if (!entries) {
      if (entries.error().number != 0) return entries.error_with(printable(fs::join(from_.path, here.path)));
      return too_much("more than", options_.limits.max_files, "files");
    }
    seen_ += entries->size();
    if (missing_ && to >= 0) missing_->compare(to, here.path, *entries);
    const fs::ActAs as(from_.who);
    std::vector<Candidate> candidates;
    candidates.reserve(entries->size());
    for (fs::Entry& entry : *entries) {
      if (auto candidate = judge(here, staged, entry)) candidates.push_back(std::move(*candidate));
    }
    return candidates;
  }

  /// What the journal has not put into place yet is seen, and what it has not deleted yet is not. Returns
  /// what is still in the stage.
  Pending::Moves look_through(const Place& here, std::vector<fs::Entry>& entries) {
    std::erase_if(entries, [&](const fs::Entry& entry) {
      return from_.pending->deletes(fs::join(here.path, entry.name), entry.st);
    });
    Pending::Moves staged;
    const Pending::Moves* moves = from_.pending->moves_into(here.path);
    if (moves == nullptr) return staged;
    std::erase_if(entries, [&](const fs::Entry& entry) { return moves->contains(entry.name); });
    for (const auto& [name, source] : *moves) {
      fs::Entry entry;
      entry.name = name;
      if (::fstatat(stage_.get(), source.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) == 0) {
        staged.emplace(name, source);
      } else if (::fstatat(here.fd, name.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) != 0) {
        continue;
      }
      entries.push_back(std::move(entry));
    }
    std::sort(entries.begin(), entries.end(),
              [](const fs::Entry& a, const fs::Entry& b) { return a.name < b.name; });
    return staged;
  }

  /// What an entry of the source is to us; nothing if it is not copied.
  std::optional<Candidate> judge(const Place& here, const Pending::Moves& staged, fs::Entry& entry) {
    const std::string full = fs::join(here.path, entry.name);
    if (!wanted(here.path, full, entry)) return std::nullopt;
    Candidate candidate;
    candidate.st = entry.st;
    candidate.entry.name = std::move(entry.name);
    if (const auto found = staged.find(candidate.entry.name); found != staged.end())
      candidate.entry.staged = found->second;
    if (entry.error != 0) {
      skip(full, cannot_be_read(entry.error));
      return std::nullopt;
    }
    if (S_ISLNK(entry.st.st_mode) && !judge_link(here, full, candidate)) return std::nullopt;
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
    if (!candidate.directory) files_seen_ += 1;
    if (candidate.directory && options_.source_is_store) note(full, st);
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
  bool judge_link(const Place& here, const std::string& full, Candidate& candidate) {
    std::string target;
    if (!candidate.entry.staged.empty()) target = read_link(stage_.get(), candidate.entry.staged);
    if (target.empty()) target = read_link(here.fd, candidate.entry.name);
    std::string kept = kept_target(target, here.depth, from_.path);
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
      const std::string full = fs::join(path, name);
      if (::fstatat(to, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return false;
        skip(full, system_error(errno, "what is in its place cannot be looked at").message());
        return true;
      }
      candidate.entry.replaces = true;
      if (is_same(to, candidate, st)) {
        plan_.unchanged += 1;
        note(full, options_.source_is_store ? candidate.st : st);
        return true;
      }
      if (is_left_alone(full, candidate, st)) {
        plan_.unchanged += 1;
        return true;
      }
      if (candidate.directory && !options_.source_is_store) note(full, st);
      const bool mount = is_mount_root(to, name);
      if (mount || candidate.directory != S_ISDIR(st.st_mode)) {
        skip(full, std::string("what is in its place ") +
                       (mount ? "is a mount of its own" : fs::describe_type(st.st_mode)));
        return true;
      }
      return false;
    });
  }

  [[nodiscard]] bool is_same(int to, const Candidate& candidate, const struct stat& st) const {
    if (candidate.directory || S_ISDIR(st.st_mode)) return false;
    const std::string& target = candidate.entry.link_target;
    if (target.empty()) return !options_.distrust_times && same_content(candidate.st, st);
    return S_ISLNK(st.st_mode) && read_link(to, candidate.entry.name) == target;
  }

  /// The other side's is another one, and the better one: it is newer where that counts, or it is somebody
  /// else's work and the session has not touched what it was given.
  [[nodiscard]] bool is_left_alone(const std::string& full, const Candidate& candidate,
                                   const struct stat& st) const {
    if (candidate.directory || S_ISDIR(st.st_mode)) return false;
    if (options_.keep_newer && is_newer(st, candidate.st)) return true;
    return options_.baseline != nullptr && candidate.entry.link_target.empty() &&
           options_.baseline->is_same_content(full, candidate.st);
  }

  void note(const std::string& full, const struct stat& st) {
    if (options_.noted != nullptr) options_.noted->note(full, st);
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
  std::optional<Missing> missing_;
  UniqueFd stage_;  // of a source with a journal that has not been applied
  struct stat to_root_ {};
  std::uint64_t seen_ = 0;
  std::uint64_t files_seen_ = 0;
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
