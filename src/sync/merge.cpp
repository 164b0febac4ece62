#include "sync/merge.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/hash.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "fs/copy.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/state_file.h"
#include "sync/jsonl_merge.h"
#include "sync/session_room.h"
#include "sync/source.h"
#include "sync/stage.h"
#include "sync/transaction.h"

namespace claude_init::sync {
namespace {

// Of lines that only one side has: they are compared in memory.
constexpr std::size_t kMaxTail = std::size_t{64} << 20;

// What is committed at once: a moment's work, so that a deadline is kept whatever there is to be saved.
constexpr std::uint64_t kFilesAtOnce = 1000;
constexpr std::uint64_t kBytesAtOnce = std::uint64_t{64} << 20;

/// Everything behind `offset`.
Result<std::string> read_from(int fd, off_t offset, const std::string& path) {
  if (::lseek(fd, offset, SEEK_SET) < 0) return system_error(errno, "read " + printable(path));
  return fs::read_all(fd, kMaxTail, path);
}

bool ends_a_line(int fd, off_t size) {
  char last = '\n';
  return size == 0 || (::pread(fd, &last, 1, size - 1) == 1 && last == '\n');
}

/// The name under which a version is kept that another one has taken the place of: the same for the same
/// content, so that it is kept once.
Result<std::string> conflict_name(int fd, const std::string& path, const Deadline& deadline) {
  constexpr unsigned kAskAfter = 256;  // pieces
  unsigned pieces = 0;
  std::uint64_t hash = kFnvBasis;
  std::array<char, 16384> piece{};
  for (off_t at = 0;;) {
    if (++pieces % kAskAfter == 0 && deadline.has_come())
      return make_error(ErrorKind::limit, "there was no time to read it");
    const ssize_t n = ::pread(fd, piece.data(), piece.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, "read " + printable(path));
    if (n == 0) return fmt::format("{}.conflict-{:016x}", path, hash);
    hash = fnv1a({piece.data(), static_cast<std::size_t>(n)}, hash);
    at += n;
  }
}

class Merger {
 public:
  Merger(const store::Tree& from, const SessionBaseline& given, const store::Store& to,
         const MergeOptions& options)
      : from_(from), given_(given), to_(to.tree()), modes_(to.modes()), options_(options) {}

  // 1. Plan: what the copy has. There has to be room for it.
  // 2. A part of it, as long as there is time: judge what of it is the run's. What is to be copied as it is
  //    stays in the plan, what is a part of both is staged.
  // 3. Stage the rest, and commit the part.
  Result<MergeReport> run() {
    // 1.
    ScanOptions scan{options_.filter, store::Extent::sessions, options_.limits};
    scan.distrust_times = true;
    scan.deadline = options_.deadline;
    // More there cannot be room for: nothing is done for them.
    const std::uint64_t most = options_.max_bytes / SessionRoom::kOverhead + kFilesAtOnce;
    scan.limits.max_files = std::min(scan.limits.max_files, most);
    scan.filter.include.clear();  // by it links that lead outside would be followed, and a job made these
    auto plan = make_plan(from_, &to_, scan);
    if (!plan) {
      Error error = plan.error();
      const bool too_many = error.remedy.find("--max-files") != std::string::npos;
      if (too_many && scan.limits.max_files == most) error.remedy = SessionRoom::remedy();
      return error;
    }
    report_.skipped = std::move(plan->skipped);
    drop_untouched(*plan);
    drop_unwanted(*plan);
    if (plan->files == 0) return std::move(report_);
    if (auto room = check_room(*plan); !room) return room.error();
    Parts parts(std::move(plan->directories));
    while (parts.has_more()) {
      if (auto go_on = interrupt::check(); !go_on) return go_on.error();
      Plan part = parts.take([this](const std::string& path) { return is_there(path); });
      if (part.files == 0) continue;
      if (options_.deadline.has_come()) {
        leave_out(part);
      } else if (auto saved = save(part); !saved) {
        return saved.error();
      }
    }
    return std::move(report_);
  }

 private:
  enum class Verdict { copy, done };  // copy: as it is

  /// The directories of a plan, and some of their entries at a time.
  class Parts {
   public:
    explicit Parts(std::vector<PlannedDirectory> directories) : directories_(std::move(directories)) {
      enter();
    }

    [[nodiscard]] bool has_more() const { return directory_ < directories_.size(); }

    /// A plan of its own: with the directories that lead to what it has, which may be there by now.
    template <class IsThere>
    Plan take(IsThere is_there) {
      Plan part;
      const auto add = [&](const PlannedDirectory& directory) {
        const bool is_new = directory.is_new && !is_there(directory.path);
        part.directories.push_back({directory.path, directory.staged, directory.outside, is_new, {}});
      };
      for (const std::size_t above : way_) add(directories_[above]);
      while (true) {
        for (auto& entries = directories_[directory_].entries; entry_ < entries.size(); ++entry_) {
          if (part.files >= kFilesAtOnce || part.bytes >= kBytesAtOnce) return part;
          part.files += 1;
          part.bytes += entries[entry_].bytes;
          part.directories.back().entries.push_back(std::move(entries[entry_]));
        }
        ++directory_;
        entry_ = 0;
        if (!has_more()) return part;
        enter();
        add(directories_[directory_]);
      }
    }

   private:
    void enter() {
      const auto leads = [&](std::size_t above) {
        return directories_[directory_].path.starts_with(directories_[above].path + '/');
      };
      while (!way_.empty() && !leads(way_.back())) way_.pop_back();
      if (has_more()) way_.push_back(directory_);
    }

    std::vector<PlannedDirectory> directories_;
    std::size_t directory_ = 0;     // the next entry's…
    std::size_t entry_ = 0;         // …and its number
    std::vector<std::size_t> way_;  // the directories that lead to it, its own too
  };

  [[nodiscard]] bool is_there(const std::string& path) const {
    const fs::ActAs as(to_.who);
    return fs::open_beneath(to_.root, path, O_PATH | O_DIRECTORY, fs::Links::refuse).ok();
  }

  Result<void> save(Plan& part) {
    // 2.
    auto transaction = Transaction::begin(to_, modes_, durability_for(part.files));
    if (!transaction) return transaction.error();
    for (PlannedDirectory& directory : part.directories) {
      if (auto judged = judge(directory, *transaction); !judged) return judged.error();
    }
    drop_empty_directories(part);
    // 3.
    StageOptions how{options_.deadline, options_.limits.max_bytes};
    how.writes = fs::Copier::Writes::as_it_goes;
    auto staged = stage(part, from_, *transaction, how);
    if (!staged) return staged.error();
    if (!transaction->is_empty()) {
      if (auto committed = transaction->commit(); !committed) return committed.error();
    }
    report_.added += staged->added;
    report_.changed += staged->changed;
    report_.bytes += staged->bytes;
    for (Skipped& skipped : staged->skipped) report_.skipped.push_back(std::move(skipped));
    for (std::string& path : staged->left_out) report_.left_out.push_back(std::move(path));
    return Done{};
  }

  void leave_out(const Plan& part) {
    for (const PlannedDirectory& directory : part.directories) {
      for (const PlannedEntry& entry : directory.entries)
        report_.left_out.push_back(fs::join(directory.path, entry.name));
    }
  }

  /// What is as it was given is not the run's: the store may have moved on.
  void drop_untouched(Plan& plan) const {
    const fs::ActAs as(from_.who);
    plan.files = 0;
    for (PlannedDirectory& directory : plan.directories) {
      const auto fd = fs::open_beneath(from_.root, directory.path, O_PATH | O_DIRECTORY, fs::Links::refuse);
      if (fd) {
        std::erase_if(directory.entries, [&](const PlannedEntry& entry) {
          struct stat st {};
          return ::fstatat(fd->get(), entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                 given_.has(fs::join(directory.path, entry.name), st);
        });
      }
      plan.files += directory.entries.size();
    }
  }

  void drop_unwanted(Plan& plan) {
    store::Filter wanted = options_.filter;
    wanted.only = options_.only;
    plan.files = 0;
    for (PlannedDirectory& directory : plan.directories) {
      std::erase_if(directory.entries, [&](const PlannedEntry& entry) {
        std::string path = fs::join(directory.path, entry.name);
        if (wanted.captures(path)) return false;
        report_.unwanted.push_back(std::move(path));
        return true;
      });
      plan.files += directory.entries.size();
    }
  }

  /// What a job writes must not take what a renewal of the login needs.
  Result<void> check_room(const Plan& plan) {
    auto found = SessionRoom::find(to_, options_.filter, options_.max_bytes, options_.deadline);
    if (!found) return found.error();
    room_ = std::move(*found);
    return room_->take(plan);
  }

  Result<void> judge(PlannedDirectory& directory, Transaction& into) {
    std::vector<PlannedEntry> to_copy;
    for (PlannedEntry& entry : directory.entries) {
      if (auto go_on = interrupt::check(); !go_on) return go_on;
      const std::string path = fs::join(directory.path, entry.name);
      if (options_.deadline.has_come()) {
        report_.left_out.push_back(path);
        continue;
      }
      const auto verdict = judge_entry(path, entry, into);
      if (!verdict) return verdict.error();
      if (*verdict == Verdict::copy) to_copy.push_back(std::move(entry));
    }
    directory.entries = std::move(to_copy);
    return Done{};
  }

  Result<Verdict> judge_entry(const std::string& path, const PlannedEntry& entry, Transaction& into) {
    if (!entry.link_target.empty() || entry.through_link || entry.outside) return skip(path, "is a link");
    const auto theirs = open(from_, path);
    if (!theirs) return skip(path, theirs.error());
    if (!entry.replaces) return Verdict::copy;
    const auto ours = open(to_, path);
    if (!ours) return skip(path, ours.error());
    const auto compared = compare_contents(ours->fd.get(), theirs->fd.get(), options_.deadline);
    if (!compared) return skip(path, compared.error());
    if (compared->relation == Relation::same) return Verdict::done;
    if (path.ends_with(".jsonl")) return bring_lines_together(path, *compared, *ours, *theirs, into);
    if (given_.has(path, ours->st)) return Verdict::copy;  // no other run has changed it
    return keep_both(path, *ours, *theirs, into);
  }

  Result<Verdict> bring_lines_together(const std::string& path, const Comparison& compared,
                                       const fs::RegularFile& ours, const fs::RegularFile& theirs,
                                       Transaction& into) {
    if (compared.relation == Relation::second_is_longer) return Verdict::copy;
    if (compared.relation == Relation::first_is_longer) return Verdict::done;
    const auto our_tail = read_from(ours.fd.get(), compared.common, path);
    const auto their_tail = read_from(theirs.fd.get(), compared.common, path);
    if (!our_tail || !their_tail) return keep_both(path, ours, theirs, into);
    std::optional<std::string> lines = missing_lines(*our_tail, *their_tail);
    if (!lines) return keep_both(path, ours, theirs, into);
    if (lines->empty()) return Verdict::done;
    // A line that was cut off when its writer died must not run into the next one.
    if (!ends_a_line(ours.fd.get(), ours.st.st_size)) lines->insert(0, 1, '\n');
    // As much as theirs has was asked for.
    const auto size = static_cast<std::uint64_t>(ours.st.st_size) + lines->size();
    const auto planned = static_cast<std::uint64_t>(theirs.st.st_size);
    if (auto room = room_->grow(size > planned ? size - planned : 0); !room) return room.error();
    struct stat st = ours.st;
    if (store::is_newer(theirs.st, ours.st)) st.st_mtim = theirs.st.st_mtim;
    if (auto staged = stage_version(path, ours.fd.get(), st, *lines, into); !staged) return staged.error();
    report_.changed += 1;
    return Verdict::done;
  }

  /// The later one gets the name.
  Result<Verdict> keep_both(const std::string& path, const fs::RegularFile& ours,
                            const fs::RegularFile& theirs, Transaction& into) {
    const bool theirs_is_later = store::is_newer(theirs.st, ours.st);
    const fs::RegularFile& other = theirs_is_later ? ours : theirs;
    const auto name = conflict_name(other.fd.get(), path, options_.deadline);
    if (!name) return skip(path, name.error());
    if (!open(to_, *name)) {
      // What both have replaces nothing.
      if (auto room = room_->take(static_cast<std::uint64_t>(ours.st.st_size)); !room) return room.error();
      if (auto staged = stage_version(*name, other.fd.get(), other.st, "", into); !staged) {
        return staged.error();
      }
      report_.kept_both += 1;
      report_.changed += theirs_is_later ? 0 : 1;
    }
    return theirs_is_later ? Verdict::copy : Verdict::done;
  }

  /// The content of `fd` and `more` behind it, to be called `path`.
  Result<void> stage_version(const std::string& path, int fd, const struct stat& st, std::string_view more,
                             Transaction& into) {
    const fs::ActAs as(to_.who);
    const std::string staged = into.new_name();
    UniqueFd out(::openat(into.stage(), staged.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!out.valid()) return system_error(errno, "create " + printable(path));
    if (auto set = fs::set_mode(out.get(), modes_.file, path); !set) return set;
    into.give(out.get());
    const auto copied = copier_.copy(fd, out.get(), st, options_.deadline);
    if (!copied) return copied.error_with(printable(path));
    if (copied->end == fs::Copied::End::out_of_time) {
      report_.left_out.push_back(path);
      return Done{};
    }
    if (copied->end == fs::Copied::End::unreadable) {
      report_.skipped.push_back(unreadable(path, copied->read_error));
      return Done{};
    }
    if (::lseek(out.get(), st.st_size, SEEK_SET) < 0) return system_error(errno, "write " + printable(path));
    if (auto written = fs::write_all(out.get(), more, path); !written) return written;
    const std::array<timespec, 2> times{st.st_atim, st.st_mtim};
    if (::futimens(out.get(), times.data()) != 0) {
      return system_error(errno, "set the time of " + printable(path));
    }
    if (into.durability() == Durability::each) {
      if (auto synced = fs::sync_to_disk(out.get(), path); !synced) return synced;
    }
    if (auto closed = fs::close_checked(std::move(out), path); !closed) return closed;
    report_.bytes += copied->bytes + more.size();
    into.add(staged, path);
    return Done{};
  }

  /// New directories in which nothing is left to copy, nor beneath them.
  static void drop_empty_directories(Plan& plan) {
    std::string needed;  // the last directory that stays: whatever leads to it does too
    std::vector<PlannedDirectory> kept;
    for (auto directory = plan.directories.rbegin(); directory != plan.directories.rend(); ++directory) {
      const bool leads = needed.starts_with(directory->path + '/') && directory->is_new;
      if (directory->entries.empty() && !leads) continue;
      needed = directory->path;
      kept.push_back(std::move(*directory));
    }
    std::reverse(kept.begin(), kept.end());
    plan.directories = std::move(kept);
  }

  [[nodiscard]] static Result<fs::RegularFile> open(const store::Tree& tree, const std::string& path) {
    const fs::ActAs as(tree.who);
    return fs::open_regular(tree.root, path, fs::Links::refuse);
  }

  /// What there is no time for is left out, and can still be saved.
  Result<Verdict> skip(const std::string& path, const Error& error) {
    if (error.kind == ErrorKind::limit && error.number == 0) {
      report_.left_out.push_back(path);
      return Verdict::done;
    }
    const bool is_another = error.number == ENOENT || is_verdict(error);
    report_.skipped.push_back({path, error.message(), is_another ? 0 : error.number});
    return Verdict::done;
  }

  Result<Verdict> skip(const std::string& path, std::string reason) {
    report_.skipped.push_back({path, std::move(reason)});
    return Verdict::done;
  }

  const store::Tree& from_;
  const SessionBaseline& given_;
  store::Tree to_;
  store::Modes modes_;
  const MergeOptions& options_;
  fs::Copier copier_{fs::Copier::Writes::as_it_goes};
  std::optional<SessionRoom> room_;
  MergeReport report_;
};

}  // namespace

Result<MergeReport> merge_sessions(const store::Tree& from, const SessionBaseline& given,
                                   const store::Store& to, const lock::Lock& /*held*/,
                                   const MergeOptions& options) {
  if (const auto recovered = Transaction::recover(to.tree()); !recovered) {
    return recovered.error_with("save the sessions");
  }
  auto report = Merger(from, given, to, options).run();
  if (!report) return report.error_with("save the sessions");
  return report;
}

}  // namespace claude_init::sync
