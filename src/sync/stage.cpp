#include "sync/stage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <optional>
#include <thread>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/copy.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/layout.h"
#include "sync/blank.h"
#include "sync/ordered_work.h"
#include "sync/source.h"

namespace claude_init::sync {
namespace {

// From here on threads pay: each costs a fraction of a millisecond.
constexpr std::uint64_t kSeveralFrom = 256;  // files

unsigned threads_for(const Plan& plan) {
  return plan.files < kSeveralFrom ? 0 : OrderedWork::usual_threads();
}

bool lies_beneath(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

class Stager {
 public:
  Stager(const Plan& plan, const store::Tree& from, Transaction& into, const StageOptions& options)
      : from_(from),
        into_(into),
        options_(options),
        copiers_(OrderedWork::kMostThreads + 1, fs::Copier(options.writes)),
        work_(threads_for(plan), [this] { late_ = out_of_time(); }) {
    progress_.files_planned = plan.files;
    progress_.bytes_planned = plan.bytes;
    if (options_.progress) options_.progress(progress_);
    if (from_.pending == nullptr) return;
    const fs::ActAs as(from_.who);
    auto stage = open_stage_of(from_.root);
    if (stage) {
      from_stage_ = std::move(*stage);
    } else {
      stage_problem_ = stage.error();
    }
  }

  // 1. Open the source directory, with its owner's rights. (Those of the destination's are held throughout.)
  // 2. Choose where its entries are staged: a new directory is made in the stage, and what lies in it keeps
  //    its name; what goes into a directory that is there already gets a name of its own.
  // 3. Copy entry by entry, several at a time.
  Result<void> directory(const PlannedDirectory& planned) {
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    if (stage_problem_) return *stage_problem_;
    if (!lost_.empty() && lies_beneath(planned.path, lost_)) return Done{};
    if (out_of_time()) {
      for (const PlannedEntry& entry : planned.entries) leave_out(planned, entry);
      return Done{};
    }
    // 1.
    auto source = open_source(planned);
    if (!source) {
      if (source.error().number != ENOENT)
        result_.skipped.push_back(unreadable(planned.path, source.error()));
      lost_ = planned.path;
      return Done{};
    }
    const auto folder = std::make_shared<Folder>(planned);
    folder->source = std::move(*source);
    // 2.
    if (planned.is_new) {
      auto directory = make(planned.path);
      if (!directory) return directory.error();
      folder->made = std::move(*directory);
    }
    // 3.
    for (const PlannedEntry& entry : planned.entries) {
      if (auto done = place(folder, entry); !done) return done;
    }
    return Done{};
  }

  /// Waits for all copies; then syncs the entries of new directories. (Files are synced as they are written.)
  Result<void> finish() {
    if (auto finished = work_.finish(); !finished) return finished;
    for (const std::string& staged : made_) {
      const auto fd = fs::open_beneath(into_.stage(), staged, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
      if (!fd) return fd.error();
      if (auto synced = fs::sync_to_disk(fd->get(), staged); !synced) return synced;
    }
    return Done{};
  }

  [[nodiscard]] Staged take_result() { return std::move(result_); }

 private:
  enum class End { staged, gone, skipped, out_of_time };

  /// A directory while its entries are copied, and where to.
  struct Folder {
    explicit Folder(const PlannedDirectory& planned_directory) : planned(planned_directory) {}
    const PlannedDirectory& planned;
    UniqueFd source;
    UniqueFd made;  // invalid where there is one already
  };

  /// A file that is copied on any thread: what it takes, and what has become of it.
  struct FileCopy {
    std::shared_ptr<const Folder> folder;
    const PlannedEntry& entry;
    std::string path;
    std::string staged;
    Result<End> end = End::gone;
    Skipped skipped{};  // how, where it was
    std::uint64_t bytes = 0;
    struct stat source {};
    struct stat copy {};
  };

  [[nodiscard]] bool out_of_time() const { return options_.deadline.has_come(); }

  void report_progress(std::uint64_t bytes) {
    result_.bytes += bytes;
    progress_.files += 1;
    progress_.bytes = result_.bytes;
    if (options_.progress) options_.progress(progress_);
  }

  static void note_link(Baseline* baseline, const std::string& path, int directory, const std::string& name) {
    struct stat st {};
    if (baseline != nullptr && ::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
      baseline->note(path, st);
  }

  void leave_out(const PlannedDirectory& planned, const PlannedEntry& entry) {
    result_.left_out.push_back(fs::join(planned.path, entry.name));
  }

  [[nodiscard]] Result<UniqueFd> open_source(const PlannedDirectory& planned) const {
    const fs::ActAs as(from_.who);
    const auto open = [&](const std::string& path) {
      return fs::open_beneath(from_.root, path, O_RDONLY | O_DIRECTORY, fs::Links::beneath);
    };
    if (!planned.outside.empty()) return open_behind_link(planned);
    if (planned.staged.empty()) return open(planned.path);
    auto staged = open(planned.staged);
    return staged || staged.error().number != ENOENT ? std::move(staged) : open(planned.path);
  }

  /// A directory that lies behind a link that leads outside.
  [[nodiscard]] Result<UniqueFd> open_behind_link(const PlannedDirectory& planned) const {
    const std::string& link = planned.outside;
    const auto place =
        fs::open_beneath(from_.root, fs::parent_of(link), O_RDONLY | O_DIRECTORY, fs::Links::beneath);
    if (!place) return place.error();
    auto behind = open_outside(place->get(), fs::name_of(link), from_.who.uid);
    if (!behind || planned.path == link) return behind;
    return fs::open_beneath(behind->get(), planned.path.substr(link.size() + 1), O_RDONLY | O_DIRECTORY,
                            fs::Links::beneath);
  }

  /// Makes a new directory: inside the new one that it belongs to, or as a new one to be moved.
  Result<UniqueFd> make(const std::string& path) {
    if (top_.empty() || !lies_beneath(path, top_)) {
      top_ = path;
      top_staged_ = into_.new_name();
      into_.add(top_staged_, top_);
    }
    const std::string staged = top_staged_ + path.substr(top_.size());
    auto parent =
        fs::open_beneath(into_.stage(), fs::parent_of(staged), O_RDONLY | O_DIRECTORY, fs::Links::refuse);
    if (!parent) return parent.error_with(printable(path));
    auto made = fs::make_directory(parent->get(), fs::name_of(staged), into_.modes().directory);
    if (!made) return made.error_with(printable(path));
    into_.give(made->get());
    struct stat st {};
    if (options_.noted_copies != nullptr && ::fstat(made->get(), &st) == 0)
      options_.noted_copies->note(path, st);
    if (into_.durability() == Durability::each) made_.push_back(staged);
    return made;
  }

  Result<void> place(const std::shared_ptr<const Folder>& folder, const PlannedEntry& entry) {
    const PlannedDirectory& planned = folder->planned;
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    if (out_of_time()) {
      leave_out(planned, entry);
      return Done{};
    }
    const auto file = std::make_shared<FileCopy>(FileCopy{folder, entry, fs::join(planned.path, entry.name),
                                                          planned.is_new ? entry.name : into_.new_name()});
    if (!entry.link_target.empty()) {
      file->end = link(*file);
      return settle(*file);
    }
    return work_.give([this, file](unsigned worker) { file->end = copy(*file, worker); },
                      [this, file] { return settle(*file); });
  }

  [[nodiscard]] int directory_of(const FileCopy& file) const {
    return file.folder->made.valid() ? file.folder->made.get() : into_.stage();
  }

  /// On our own thread, in the order of the plan.
  Result<void> settle(FileCopy& file) {
    if (!file.end) return file.end.error();
    const PlannedDirectory& planned = file.folder->planned;
    report_progress(file.bytes);
    if (*file.end == End::out_of_time) leave_out(planned, file.entry);
    if (*file.end == End::skipped) result_.skipped.push_back(std::move(file.skipped));
    if (*file.end != End::staged) return Done{};
    if (result_.bytes > options_.max_bytes) {
      return make_error(ErrorKind::limit, printable(from_.path) + " has grown to more than " +
                                              format_bytes(options_.max_bytes) + " while it was copied");
    }
    if (file.entry.link_target.empty()) {
      if (options_.noted_sources != nullptr) options_.noted_sources->note(file.path, file.source);
      if (options_.noted_copies != nullptr) options_.noted_copies->note(file.path, file.copy);
    }
    if (!planned.is_new) into_.add(file.staged, file.path);
    (file.entry.replaces ? result_.changed : result_.added) += 1;
    if (log::enabled(log::Level::trace))
      log::trace("staged", {{"path", file.path}, {"bytes", file.entry.bytes}});
    return Done{};
  }

  Result<End> link(const FileCopy& file) {
    const int directory = directory_of(file);
    if (::symlinkat(file.entry.link_target.c_str(), directory, file.staged.c_str()) != 0) {
      return system_error(errno, "make the link " + printable(file.path));
    }
    const bool still_staged = !file.entry.staged.empty() && from_stage_.valid();
    note_link(options_.noted_sources, file.path, still_staged ? from_stage_.get() : file.folder->source.get(),
              still_staged ? file.entry.staged : file.entry.name);
    note_link(options_.noted_copies, file.path, directory, file.staged);
    return End::staged;
  }

  Result<End> copy(FileCopy& file, unsigned worker) {
    const auto opened = open_file(file);
    if (!opened) {
      if (opened.error().number == ENOENT) return End::gone;
      file.skipped = is_verdict(opened.error()) ? Skipped{file.path, "was replaced while it was copied"}
                                                : unreadable(file.path, opened.error().number);
      return End::skipped;
    }
    const int directory = directory_of(file);
    UniqueFd out(
        ::openat(directory, file.staged.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out.valid()) return system_error(errno, "create " + printable(file.path));
    file.source = opened->st;
    auto end = fill(file, opened->fd.get(), std::move(out), worker);
    if (!end || *end != End::staged) ::unlinkat(directory, file.staged.c_str(), 0);
    return end;
  }

  [[nodiscard]] Result<fs::RegularFile> open_file(const FileCopy& file) const {
    const PlannedEntry& entry = file.entry;
    const fs::ActAs as(from_.who);
    if (!entry.staged.empty() && from_stage_.valid()) {
      auto staged = fs::open_regular(from_stage_.get(), entry.staged, fs::Links::refuse);
      if (staged || staged.error().number != ENOENT) return staged;
    }
    if (entry.outside) return open_file_outside(file);
    // A link into `..data` may lead up before it leads down: it is resolved from the root.
    return entry.through_link ? fs::open_regular(from_.root, file.path, fs::Links::beneath)
                              : fs::open_regular(file.folder->source.get(), entry.name, fs::Links::refuse);
  }

  [[nodiscard]] Result<fs::RegularFile> open_file_outside(const FileCopy& file) const {
    auto fd = open_outside(file.folder->source.get(), file.entry.name, from_.who.uid);
    if (!fd) return fd.error();
    fs::RegularFile opened{std::move(*fd), {}};
    if (::fstat(opened.fd.get(), &opened.st) != 0) return system_error(errno, "stat");
    if (!S_ISREG(opened.st.st_mode)) return make_error(ErrorKind::invalid, "is no file");
    return opened;
  }

  Result<End> fill(FileCopy& file, int in, UniqueFd out, unsigned worker) {
    const store::Modes& modes = into_.modes();
    const struct stat& st = file.source;
    const mode_t mode = (st.st_mode & S_IXUSR) != 0 ? modes.executable : modes.file;
    if (const auto set = fs::set_mode(out.get(), mode, file.path); !set) return set.error();
    into_.give(out.get());
    const bool blanked_at_once = options_.withhold_secrets && st.st_size <= fs::Copier::kEditedAtOnce;
    const auto copied =
        blanked_at_once
            ? copiers_[worker].copy_edited(in, out.get(), st, blank_)
            : copiers_[worker].copy(in, out.get(), st, worker == 0 ? options_.deadline : relayed_deadline_);
    if (!copied) return copied.error_with(printable(file.path));
    if (copied->end == fs::Copied::End::out_of_time) return End::out_of_time;
    if (copied->end == fs::Copied::End::unreadable) {
      file.skipped = unreadable(file.path, copied->read_error);
      return End::skipped;
    }
    file.bytes = copied->bytes;
    if (options_.withhold_secrets && !blanked_at_once) {
      if (auto blanked = blank_secrets(out.get(), file.path, options_.withheld); !blanked)
        return blanked.error();
    }
    // The source's time from before its data was read: if it changed meanwhile, the next look sees a
    // difference.
    const std::array<timespec, 2> times{st.st_atim, st.st_mtim};
    if (::futimens(out.get(), times.data()) != 0)
      return system_error(errno, "set the time of " + printable(file.path));
    if (into_.durability() == Durability::each) {
      if (auto synced = fs::sync_to_disk(out.get(), file.path); !synced) return synced.error();
    }
    if (options_.noted_copies != nullptr && ::fstat(out.get(), &file.copy) != 0)
      return system_error(errno, "look at the copy of " + printable(file.path));
    if (const auto closed = fs::close_checked(std::move(out), file.path); !closed) return closed.error();
    return End::staged;
  }

  const store::Tree& from_;
  Transaction& into_;
  const StageOptions& options_;
  UniqueFd from_stage_;  // of a source with a journal that has not been applied
  std::optional<Error> stage_problem_;
  Staged result_;
  ui::Progress progress_;
  std::string lost_;               // a source directory that could not be opened
  std::string top_;                // the new directory that is being built…
  std::string top_staged_;         // …and its name in the stage
  std::vector<std::string> made_;  // new directories in the stage that have to be synced
  // A deadline is asked by the calling thread only.
  std::atomic<bool> late_ = false;
  Deadline relayed_deadline_{[this] { return late_.load(); }};
  std::vector<fs::Copier> copiers_;  // one a thread
  const fs::Copier::Edit blank_ = [this](char* text, std::size_t size) {
    login::blank_secrets(text, size, options_.withheld);
  };
  OrderedWork work_;  // ends its threads before anything else here goes
};

}  // namespace

Result<Staged> stage(const Plan& plan, const store::Tree& from, Transaction& into,
                     const StageOptions& options) {
  const fs::ActAs as(into.to().who);
  Stager stager(plan, from, into, options);
  for (const PlannedDirectory& directory : plan.directories) {
    if (auto done = stager.directory(directory); !done) return done.error();
  }
  if (auto finished = stager.finish(); !finished) return finished.error();
  return stager.take_result();
}

}  // namespace claude_init::sync
