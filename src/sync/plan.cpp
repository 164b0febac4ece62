#include "sync/plan.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "store/state_file.h"
#include "sync/deletions.h"
#include "sync/links.h"
#include "sync/ordered_work.h"
#include "sync/source.h"

namespace claude_init::sync {
namespace {

bool same_content(const struct stat& a, const struct stat& b) {
  return S_ISREG(b.st_mode) && a.st_size == b.st_size && a.st_mtim.tv_sec == b.st_mtim.tv_sec &&
         a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

/// What one part of the tree adds to the plan.
struct Part {
  Plan plan;
  std::optional<MissingFiles> missing;
  std::optional<Baseline> noted;
  std::uint64_t files_seen = 0;

  void note(const std::string& full, const struct stat& st) {
    if (noted) noted->note(full, st);
  }
  void skip(const std::string& path, std::string reason, int error) {
    plan.skipped.push_back({path, std::move(reason), error});
  }
  void take(Part&& later) {
    append(plan.directories, std::move(later.plan.directories));
    append(plan.skipped, std::move(later.plan.skipped));
    plan.files += later.plan.files;
    plan.bytes += later.plan.bytes;
    plan.unchanged += later.plan.unchanged;
    plan.has_executables |= later.plan.has_executables;
    if (missing) missing->merge(std::move(*later.missing));
    if (noted) noted->merge(std::move(*later.noted));
    files_seen += later.files_seen;
  }

 private:
  template <class T>
  static void append(std::vector<T>& to, std::vector<T>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }
};

/// Whether to look through them by several threads is worth what the threads cost. A directory's own size
/// tells roughly how many names it holds, where the file system counts it in bytes (ext4, tmpfs, btrfs).
bool is_much(const std::vector<Candidate>& directories) {
  constexpr std::size_t kMany = 16;
  constexpr off_t kLarge = 16L << 10;
  return directories.size() >= kMany ||
         (directories.size() > 1 &&
          std::any_of(directories.begin(), directories.end(),
                      [](const Candidate& each) { return each.st.st_size >= kLarge; }));
}

class Scanner {
 public:
  Scanner(const store::Tree& from, const store::Tree* to, const struct stat* to_root,
          const ScanOptions& options)
      : from_(from), to_(to), options_(options), source_(from, options, to_root) {
    if (options.baseline != nullptr) options.baseline->sort();
  }

  Result<Plan> run() {
    Part all = empty_part();
    const Place root{from_.root, {}, {}, {}, 0};
    if (auto done = scan(root, to_ == nullptr ? -1 : to_->root, false, all); !done) return done.error();
    // A source in which nothing is captured is one that was emptied, or never filled.
    if (all.missing && all.files_seen > 0) all.missing->add_to(all.plan);
    if (all.noted) options_.noted->merge(std::move(*all.noted));
    return std::move(all.plan);
  }

 private:
  [[nodiscard]] Part empty_part() const {
    Part part;
    if (to_ != nullptr && options_.deletions != Deletions::none && options_.extent == store::Extent::all)
      part.missing.emplace(*to_, options_);
    if (options_.noted != nullptr) part.noted = options_.noted->empty_copy();
    return part;
  }

  // One directory:
  // 1. List the source, and sort out what is the same on the other side, which is looked at with its own
  //    owner's rights: where little has changed that is nearly all, and nothing else is done for it.
  // 2. Of the others, sort out what is not to be copied, and look at what the other side has in its place.
  // 3. Note what differs; then the subdirectories.
  Result<void> scan(const Place& here, int to, bool is_new, Part& part) {
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    if (is_late())
      return make_error(ErrorKind::limit, "there was no time to look through " + printable(from_.path));
    if (here.depth > options_.limits.max_depth)
      return too_much(from_, "deeper than", options_.limits.max_depth, "directories", "--max-depth");
    // 1.
    store::Pending::Moves staged;
    auto entries = source_.list(here, staged, late_deadline_);
    if (!entries && !here.path.empty() && entries.error().number != 0) {
      part.plan.skipped.push_back(unreadable(here.path, entries.error()));
      return Done{};
    }
    if (!entries) return entries.error();
    seen_ += entries->size();
    if (to >= 0) drop_unchanged(to, here, *entries, part);
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    // 2.
    std::vector<Candidate> candidates = source_.judge(here, staged, *entries, part.plan.skipped);
    for (const Candidate& candidate : candidates) {
      part.files_seen += candidate.directory ? 0 : 1;
      if (candidate.directory && options_.source_is_store)
        part.note(fs::join(here.path, candidate.entry.name), candidate.st);
    }
    if (to >= 0) compare_with_other_side(to, here.path, candidates, part);
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    // 3.
    PlannedDirectory planned{here.path, here.staged, here.outside, is_new, {}};
    std::vector<Candidate> subdirectories;
    for (Candidate& candidate : candidates) {
      if (candidate.directory) {
        subdirectories.push_back(std::move(candidate));
        continue;
      }
      part.plan.files += 1;
      part.plan.bytes += candidate.entry.bytes;
      part.plan.has_executables |=
          (candidate.st.st_mode & S_IXUSR) != 0 && candidate.entry.link_target.empty();
      planned.entries.push_back(std::move(candidate.entry));
    }
    if (auto checked = check_bytes(part); !checked) return checked;
    if (is_new || !planned.entries.empty()) part.plan.directories.push_back(std::move(planned));
    return descend_into_all(here, to, subdirectories, part);
  }

  /// Where there is much they are looked through several at a time. The parts are put together in the order
  /// of the names, whichever is done first.
  Result<void> descend_into_all(const Place& here, int to, const std::vector<Candidate>& subdirectories,
                                Part& part) {
    if (several_ || !is_much(subdirectories)) {
      for (const Candidate& sub : subdirectories) {
        if (auto done = descend(here, to, sub, part); !done) return done;
      }
      return Done{};
    }
    several_ = true;  // by this thread, before there is another one
    OrderedWork work(OrderedWork::usual_threads(), [this] { static_cast<void>(has_deadline_come()); });
    for (const Candidate& sub : subdirectories) {
      auto found = std::make_shared<std::pair<Part, Result<void>>>(empty_part(), Done{});
      auto given = work.give([&, found](unsigned) { found->second = descend(here, to, sub, found->first); },
                             [&, found]() -> Result<void> {
                               if (!found->second) return found->second;
                               part.take(std::move(found->first));
                               return check_bytes(part);
                             });
      if (!given) return given;
    }
    if (auto finished = work.finish(); !finished) return finished;
    several_ = false;
    return Done{};
  }

  Result<void> descend(const Place& above, int to, const Candidate& sub, Part& part) {
    const PlannedEntry& entry = sub.entry;
    Place below{-1, fs::join(above.path, entry.name), {}, above.outside, above.depth + 1};
    if (entry.outside) below.outside = below.path;
    if (!entry.staged.empty())
      below.staged = fs::join(fs::join(store::kPrivateDir, store::kStage), entry.staged);
    if (!above.staged.empty()) below.staged = fs::join(above.staged, entry.name);
    const auto from = source_.open(above, below.path, entry);
    if (!from) {
      part.plan.skipped.push_back(unreadable(below.path, from.error()));
      return Done{};
    }
    below.fd = from->get();
    UniqueFd to_fd;
    if (entry.replaces) {
      const fs::ActAs as(to_->who);
      to_fd.reset(::openat(to, entry.name.c_str(), fs::kDirectory));
      if (!to_fd.valid()) {
        const int error = errno;
        part.skip(below.path, system_error(error, "the directory in its place cannot be read").message(),
                  error);
        return Done{};
      }
    }
    return scan(below, to_fd.get(), !to_fd.valid(), part);
  }

  [[nodiscard]] Result<void> check_bytes(const Part& part) const {
    if (part.plan.bytes <= options_.limits.max_bytes) return Done{};
    return make_error(ErrorKind::limit,
                      "more than " + format_bytes(options_.limits.max_bytes) + " in " + printable(from_.path),
                      how_to_allow("--max-bytes"));
  }

  /// Drops the files that are the same on both sides.
  void drop_unchanged(int to, const Place& here, std::vector<fs::Entry>& entries, Part& part) const {
    const fs::ActAs as(to_->who);
    const auto differs = [&, filter =
                                 store::DirectoryFilter(options_.filter, here.path)](const fs::Entry& entry) {
      if (interrupt::number() != 0) return true;  // the caller ends
      if (options_.distrust_times || !source_.is_plain_file(here, filter, entry)) return true;
      struct stat st {};
      if (::fstatat(to, entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0 || !same_content(entry.st, st))
        return true;
      if (part.noted) part.note(fs::join(here.path, entry.name), options_.source_is_store ? entry.st : st);
      return false;
    };
    const auto same = std::partition(entries.begin(), entries.end(), differs);
    const auto unchanged = static_cast<std::size_t>(entries.end() - same);
    if (part.missing) part.missing->compare(to, here.path, entries, unchanged);
    part.plan.unchanged += unchanged;
    part.files_seen += unchanged;
    entries.erase(same, entries.end());
  }

  /// Drops the candidates that are there already, and those that cannot be put where something else is.
  void compare_with_other_side(int to, const std::string& path, std::vector<Candidate>& candidates,
                               Part& part) const {
    const fs::ActAs as(to_->who);
    std::erase_if(candidates, [&](Candidate& candidate) {
      if (interrupt::number() != 0) return false;  // the caller ends
      const std::string& name = candidate.entry.name;
      struct stat st {};
      const std::string full = fs::join(path, name);
      if (::fstatat(to, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return false;
        const int error = errno;
        part.skip(full, system_error(error, "what is in its place cannot be looked at").message(), error);
        return true;
      }
      candidate.entry.replaces = true;
      if (is_same(to, candidate, st)) {
        part.plan.unchanged += 1;
        part.note(full, options_.source_is_store ? candidate.st : st);
        return true;
      }
      if (is_left_alone(full, candidate, st)) {
        part.plan.unchanged += 1;
        return true;
      }
      if (candidate.directory && !options_.source_is_store) part.note(full, st);
      const bool mount = fs::is_mount_root(to, name);
      if (mount || candidate.directory != S_ISDIR(st.st_mode)) {
        part.skip(full,
                  std::string("what is in its place ") +
                      (mount ? "is a mount of its own" : fs::describe_type(st.st_mode)),
                  mount ? EBUSY : EEXIST);
        return true;
      }
      return false;
    });
  }

  [[nodiscard]] bool is_same(int to, const Candidate& candidate, const struct stat& st) const {
    if (candidate.directory || S_ISDIR(st.st_mode)) return false;
    const std::string& target = candidate.entry.link_target;
    if (target.empty()) return !options_.distrust_times && same_content(candidate.st, st);
    return S_ISLNK(st.st_mode) && fs::read_link(to, candidate.entry.name) == target;
  }

  /// The other side's is another one, and the better one: it is newer where that counts, or it is somebody
  /// else's work and the session has not touched what it was given.
  [[nodiscard]] bool is_left_alone(const std::string& full, const Candidate& candidate,
                                   const struct stat& st) const {
    if (candidate.directory || S_ISDIR(st.st_mode)) return false;
    if (options_.keep_newer && store::is_newer(st, candidate.st)) return true;
    return options_.baseline != nullptr && candidate.entry.link_target.empty() &&
           options_.baseline->is_same_content(full, candidate.st);
  }

  bool is_late() {
    constexpr std::size_t kMany = 5000;
    return seen_ > kMany && has_deadline_come();
  }

  /// It is asked by the calling thread only.
  bool has_deadline_come() {
    if (std::this_thread::get_id() == ours_ && options_.deadline.has_come()) late_ = true;
    return late_;
  }

  const store::Tree& from_;
  const store::Tree* to_;
  const ScanOptions& options_;
  Source source_;
  const std::thread::id ours_ = std::this_thread::get_id();
  std::atomic<std::size_t> seen_ = 0;
  std::atomic<bool> late_ = false;
  const Deadline late_deadline_{[this] { return has_deadline_come(); }};
  bool several_ = false;  // threads are at work
};

}  // namespace

Result<Plan> make_plan(const store::Tree& from, const store::Tree* to, const ScanOptions& options) {
  struct stat from_st {};
  struct stat to_st {};
  if (::fstat(from.root, &from_st) != 0) return system_error(errno, "stat " + printable(from.path));
  if (to == nullptr) return Scanner(from, nullptr, nullptr, options).run();
  if (::fstat(to->root, &to_st) != 0) return system_error(errno, "stat " + printable(to->path));
  if (fs::is_same_file(from_st, to_st)) {
    return make_error(ErrorKind::invalid,
                      printable(from.path) + " and " + printable(to->path) + " are the same directory");
  }
  return Scanner(from, to, &to_st, options).run();
}

}  // namespace claude_init::sync
