#include "sync/apply.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"

namespace claude_init::sync {
namespace {

constexpr std::size_t kFewDirectories = 16;  // more are synced by one syncfs

class Application {
 public:
  Application(const store::Tree& to, int stage, const ApplyOptions& options)
      : to_(to), stage_(stage), options_(options) {}

  Result<void> move(const store::Journal::Move& move) {
    return in_parent(move.path, [&](int parent, const char* name) {
      if (stage_ < 0) return 0;
      if (::renameat(stage_, move.staged.c_str(), parent, name) == 0) return 0;
      return errno == ENOENT && options_.again ? 0 : errno;
    });
  }

  Result<void> remove(const store::Journal::Deletion& deletion) {
    return in_parent(deletion.path, [&](int parent, const char* name) {
      struct stat st {};
      if (::fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : errno;
      if (S_ISDIR(st.st_mode) || store::stamp_of(st) != deletion.copy) return 0;  // it is another one by now
      return ::unlinkat(parent, name, 0) == 0 || errno == ENOENT ? 0 : errno;
    });
  }

  Result<void> remove_directory(const std::string& path) {
    return in_parent(path, [&](int parent, const char* name) {
      if (::unlinkat(parent, name, AT_REMOVEDIR) == 0) return 0;
      return is_lasting(errno) ? 0 : errno;  // not empty, gone, replaced: then it stays as it is
    });
  }

  Result<void> sync() {
    if (!options_.durable) return Done{};
    if (parents_.size() > kFewDirectories) return sync_file_system(to_.root, to_.path);
    for (const UniqueFd& directory : parents_) {
      if (auto synced = fs::sync_to_disk(directory.get(), to_.path); !synced) return synced;
    }
    return Done{};
  }

  [[nodiscard]] std::vector<Conflict> take_conflicts() { return std::move(conflicts_); }

 private:
  /// Calls `act` with the directory that `path` lies in; it returns 0 or errno.
  template <class Act>
  Result<void> in_parent(const std::string& path, Act act) {
    const std::string above = fs::parent_of(path);
    if (parents_.empty() || above != last_) {
      auto opened = fs::open_beneath(to_.root, above, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
      if (!opened && opened.error().number == ENOENT && options_.again) return Done{};  // removed already
      if (!opened) return failed(path, opened.error().number);
      if (parents_.size() > kFewDirectories) parents_.pop_back();
      parents_.push_back(std::move(*opened));
      last_ = above;
    }
    if (const int error = act(parents_.back().get(), fs::name_of(path).c_str()); error != 0)
      return failed(path, error);
    if (log::enabled(log::Level::trace)) log::trace("put into place", {{"path", fs::join(to_.path, path)}});
    return Done{};
  }

  Result<void> failed(const std::string& path, int error) {
    if (!is_lasting(error))
      return system_error(error, "put into place " + printable(fs::join(to_.path, path)));
    conflicts_.push_back({path, error});
    return Done{};
  }

  const store::Tree& to_;
  int stage_;
  const ApplyOptions& options_;
  std::vector<UniqueFd> parents_;  // all that changed, or more than a few
  std::string last_;
  std::vector<Conflict> conflicts_;
};

}  // namespace

Result<std::vector<Conflict>> apply(const store::Tree& to, int stage, const store::Journal& journal,
                                    const ApplyOptions& options) {
  Application application(to, stage, options);
  for (const auto& move : journal.moves) {
    if (auto done = application.move(move); !done) return done.error();
  }
  for (const auto& deletion : journal.deletions) {
    if (auto done = application.remove(deletion); !done) return done.error();
  }
  for (const auto& directory : journal.directories) {
    if (auto done = application.remove_directory(directory); !done) return done.error();
  }
  if (auto synced = application.sync(); !synced) return synced.error();
  return application.take_conflicts();
}

Result<void> sync_file_system(int fd, const std::string& path) {
  if (::syncfs(fd) != 0) return system_error(errno, "sync " + printable(path));
  return Done{};
}

}  // namespace claude_init::sync
