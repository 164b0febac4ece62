#include "store/stage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/text.h"
#include "fs/copy.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

bool lies_beneath(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

class Stager {
 public:
  Stager(const Tree& from, Transaction& into, const StageOptions& options)
      : from_(from), into_(into), options_(options) {
    if (from_.pending == nullptr) return;
    const fs::ActAs as(from_.who);
    auto stage = fs::open_beneath(from_.root, fs::join(kPrivateDir, kStage), O_RDONLY | O_DIRECTORY,
                                  fs::Links::refuse);
    if (stage) from_stage_ = std::move(*stage);
  }

  // 1. Open the source directory, with its owner's rights. (Those of the destination's are held throughout.)
  // 2. Choose where its entries are staged: a new directory is made in the stage, and what lies in it keeps
  // its
  //    name; what goes into a directory that is there already gets a name of its own.
  // 3. Copy entry by entry.
  Result<void> directory(const PlannedDirectory& planned) {
    if (!lost_.empty() && lies_beneath(planned.path, lost_)) return Done{};
    if (out_of_time()) {
      for (const PlannedEntry& entry : planned.entries) leave_out(planned, entry);
      return Done{};
    }
    // 1.
    auto source = open_source(planned);
    if (!source) {
      if (source.error().number != ENOENT)
        result_.skipped.push_back({planned.path, source.error().message()});
      lost_ = planned.path;
      return Done{};
    }
    // 2.
    UniqueFd made;
    if (planned.is_new) {
      auto directory = make(planned.path);
      if (!directory) return directory.error();
      made = std::move(*directory);
    }
    // 3.
    for (const PlannedEntry& entry : planned.entries) {
      if (auto done = place(planned, entry, source->get(), made.get()); !done) return done;
      tell_progress();
    }
    return made.valid() ? fs::close_checked(std::move(made), planned.path) : Result<void>(Done{});
  }

  /// The entries of new directories, once all of them are made. (Files are synced as they are written.)
  Result<void> sync_directories() {
    for (const std::string& staged : made_) {
      const auto fd = fs::open_beneath(into_.stage(), staged, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
      if (!fd) return fd.error();
      if (auto synced = fs::sync_to_disk(fd->get(), staged); !synced) return synced;
    }
    return Done{};
  }

  void plan_for(const Plan& plan) {
    progress_.files_planned = plan.files;
    progress_.bytes_planned = plan.bytes;
    if (options_.progress) options_.progress(progress_);
  }

  [[nodiscard]] Staged take_result() { return std::move(result_); }

 private:
  enum class End { staged, gone, skipped, out_of_time };

  [[nodiscard]] bool out_of_time() const { return options_.deadline.has_come(); }

  void tell_progress() {
    progress_.files += 1;
    progress_.bytes = result_.bytes;
    if (options_.progress) options_.progress(progress_);
  }

  static void note(Baseline* baseline, const std::string& path, int fd) {
    struct stat st {};
    if (baseline != nullptr && ::fstat(fd, &st) == 0) baseline->note(path, st);
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
    if (planned.staged.empty()) return open(planned.path);
    auto staged = open(planned.staged);
    return staged || staged.error().number != ENOENT ? std::move(staged) : open(planned.path);
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
    note(options_.noted_copies, path, made->get());
    if (into_.durability() == Durability::each) made_.push_back(staged);
    return made;
  }

  Result<void> place(const PlannedDirectory& planned, const PlannedEntry& entry, int source, int made) {
    if (out_of_time()) {
      leave_out(planned, entry);
      return Done{};
    }
    const std::string path = fs::join(planned.path, entry.name);
    const std::string staged = planned.is_new ? entry.name : into_.new_name();
    const int directory = planned.is_new ? made : into_.stage();
    auto end = entry.link_target.empty() ? copy(path, entry, source, directory, staged)
                                         : link(path, entry, source, directory, staged);
    if (!end) return end.error();
    if (*end == End::out_of_time) leave_out(planned, entry);
    if (*end != End::staged) return Done{};
    if (!planned.is_new) into_.add(staged, path);
    (entry.replaces ? result_.changed : result_.added) += 1;
    if (log::enabled(log::Level::trace)) log::trace("staged", {{"path", path}, {"bytes", entry.bytes}});
    return Done{};
  }

  Result<End> link(const std::string& path, const PlannedEntry& entry, int source, int directory,
                   const std::string& name) {
    if (::symlinkat(entry.link_target.c_str(), directory, name.c_str()) != 0) {
      return system_error(errno, "make the link " + printable(path));
    }
    const bool still_staged = !entry.staged.empty() && from_stage_.valid();
    note_link(options_.noted_sources, path, still_staged ? from_stage_.get() : source,
              still_staged ? entry.staged : entry.name);
    note_link(options_.noted_copies, path, directory, name);
    return End::staged;
  }

  Result<End> copy(const std::string& path, const PlannedEntry& entry, int source, int directory,
                   const std::string& name) {
    const auto opened = open_file(path, entry, source);
    if (!opened) {
      if (opened.error().number == ENOENT) return End::gone;
      result_.skipped.push_back(
          {path, opened.error().number == 0 || opened.error().number == ELOOP
                     ? "was replaced while it was copied"
                     : system_error(opened.error().number, "cannot be read").message()});
      return End::skipped;
    }
    UniqueFd out(
        ::openat(directory, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out.valid()) return system_error(errno, "create " + printable(path));
    auto end = fill(path, opened->fd.get(), opened->st, std::move(out));
    if (!end || *end != End::staged) ::unlinkat(directory, name.c_str(), 0);
    return end;
  }

  [[nodiscard]] Result<fs::RegularFile> open_file(const std::string& path, const PlannedEntry& entry,
                                                  int source) const {
    const fs::ActAs as(from_.who);
    if (!entry.staged.empty() && from_stage_.valid()) {
      auto staged = fs::open_regular(from_stage_.get(), entry.staged, fs::Links::refuse);
      if (staged || staged.error().number != ENOENT) return staged;
    }
    // A link into `..data` may lead up before it leads down: it is resolved from the root.
    return entry.through_link ? fs::open_regular(from_.root, path, fs::Links::beneath)
                              : fs::open_regular(source, entry.name, fs::Links::refuse);
  }

  Result<End> fill(const std::string& path, int in, const struct stat& st, UniqueFd out) {
    const Modes& modes = into_.modes();
    if (::fchmod(out.get(), (st.st_mode & S_IXUSR) != 0 ? modes.executable : modes.file) != 0) {
      return system_error(errno, "set the mode of " + printable(path));
    }
    into_.give(out.get());
    const auto copied = copier_.copy(in, out.get(), st, options_.deadline);
    if (!copied) return copied.error_with(printable(path));
    if (copied->end == fs::Copied::End::out_of_time) return End::out_of_time;
    if (copied->end == fs::Copied::End::unreadable) {
      result_.skipped.push_back({path, system_error(copied->read_error, "cannot be read").message()});
      return End::skipped;
    }
    result_.bytes += copied->bytes;
    if (result_.bytes > options_.max_bytes) {
      return make_error(ErrorKind::limit, printable(from_.path) + " has grown to more than " +
                                              format_bytes(options_.max_bytes) + " while it was copied");
    }
    // The source's time from before its data was read: if it changed meanwhile, the next look sees a
    // difference.
    const std::array<timespec, 2> times{st.st_atim, st.st_mtim};
    if (::futimens(out.get(), times.data()) != 0)
      return system_error(errno, "set the time of " + printable(path));
    if (into_.durability() == Durability::each) {
      if (auto synced = fs::sync_to_disk(out.get(), path); !synced) return synced.error();
    }
    if (options_.noted_sources != nullptr) options_.noted_sources->note(path, st);
    note(options_.noted_copies, path, out.get());
    if (const auto closed = fs::close_checked(std::move(out), path); !closed) return closed.error();
    return End::staged;
  }

  const Tree& from_;
  Transaction& into_;
  const StageOptions& options_;
  UniqueFd from_stage_;  // of a source with a journal that has not been applied
  fs::Copier copier_;
  Staged result_;
  Progress progress_;
  std::string lost_;               // a source directory that could not be opened
  std::string top_;                // the new directory that is being built…
  std::string top_staged_;         // …and its name in the stage
  std::vector<std::string> made_;  // new directories in the stage that have to be synced
};

}  // namespace

Result<Staged> stage(const Plan& plan, const Tree& from, Transaction& into, const StageOptions& options) {
  const fs::ActAs as(into.to().who);
  Stager stager(from, into, options);
  stager.plan_for(plan);
  for (const PlannedDirectory& directory : plan.directories) {
    if (auto done = stager.directory(directory); !done) return done.error();
  }
  if (auto synced = stager.sync_directories(); !synced) return synced.error();
  return stager.take_result();
}

}  // namespace claude_init::store
