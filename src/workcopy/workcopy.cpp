#include "workcopy/workcopy.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>

#include "base/random.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "ui/remedies.h"

namespace claude_init::workcopy {
namespace {

constexpr std::size_t kSuffixLength = 8;
constexpr const char* kInner = "claude";
constexpr unsigned kAttempts = 16;
constexpr std::size_t kMaxHomeEntries = 1000;  // a home with more is no home that an image has

std::string prefix_of(std::string_view kind) {
  return "claude-" + std::string(kind) + '-';
}

std::string random_name(std::string_view kind) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz012345";
  std::string name = prefix_of(kind);
  for (std::size_t i = 0; i < kSuffixLength; ++i) name += kLetters[random_number() % kLetters.size()];
  return name;
}

bool is_copy_name(std::string_view name, std::string_view kind) {
  const std::string prefix = prefix_of(kind);
  return name.size() == prefix.size() + kSuffixLength && name.starts_with(prefix);
}

/// Opens the directory NAME of `target`'s in `place` and takes its lock. Error: busy if another process holds
/// it.
Result<UniqueFd> open_locked(int place, const std::string& name, const user::Account& target) {
  UniqueFd fd(::openat(place, name.c_str(), fs::kDirectory));
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return system_error(errno, "open " + name);
  if (st.st_uid != target.uid) {
    return make_error(ErrorKind::permission,
                      fmt::format("{} belongs to uid {}, not {}", name, st.st_uid, target.uid));
  }
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return system_error(errno, "lock " + name);
  return fd;
}

bool is_still_named(int place, const std::string& name, int fd) {
  struct stat by_name {};
  struct stat by_fd {};
  return ::fstatat(place, name.c_str(), &by_name, AT_SYMLINK_NOFOLLOW) == 0 && ::fstat(fd, &by_fd) == 0 &&
         fs::is_same_file(by_name, by_fd);
}

void remove_login(int copy) {
  struct stat st {};
  if (::fstatat(copy, kInner, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
      (st.st_mode & 0700) != 0700) {
    [[maybe_unused]] const int ignored = ::fchmodat(copy, kInner, 0700, AT_SYMLINK_NOFOLLOW);
  }
  if (const auto inner = fs::open_beneath(copy, kInner, O_RDONLY | O_DIRECTORY, fs::Links::refuse)) {
    const std::string login(store::kCredentials);
    fs::overwrite_file(inner->get(), login);
    (void)::unlinkat(inner->get(), login.c_str(), 0);
  }
}

/// Whether PATH can be a link to a copy: nothing is there, or a link to a copy that has gone, or a directory
/// without anything in it.
bool make_free(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) return errno == ENOENT;
  if (S_ISDIR(st.st_mode)) return ::rmdir(path.c_str()) == 0;
  if (!S_ISLNK(st.st_mode) || ::stat(path.c_str(), &st) == 0) return false;
  return fs::read_link(AT_FDCWD, path).find('/' + prefix_of(WorkingCopy::kRun)) != std::string::npos;
}

bool replace_with_link(const std::string& path, const std::string& to) {
  (void)::unlink(path.c_str());
  return ::symlink(to.c_str(), path.c_str()) == 0;
}

std::pair<std::string, std::string> split(const std::string& root) {
  const std::size_t slash = root.rfind('/');
  return {root.substr(0, slash), root.substr(slash + 1)};
}

}  // namespace

/// 1. Make a directory with a random name, as the target.
/// 2. Take its lock. A run that looks for dead copies may have taken it in between.
/// 3. If it did, it has removed the directory: the name no longer leads to what we locked. Try another.
Result<WorkingCopy> WorkingCopy::create_in(const std::string& place, const user::Account& target,
                                           const Options& options, Fit fit) {
  const auto dir = open_place(place, options.demand, fit);
  if (!dir) return dir.error();
  for (unsigned attempt = 0; attempt < kAttempts; ++attempt) {
    // 1.
    const std::string name = random_name(options.kind);
    if (::mkdirat(dir->get(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return system_error(errno, printable(place));
    }
    // 2.
    auto lock = open_locked(dir->get(), name, target);
    if (!lock && lock.error().kind == ErrorKind::busy) continue;
    if (!lock && lock.error().kind == ErrorKind::not_found) continue;  // see 3, before we could open it
    if (!lock) {
      (void)::unlinkat(dir->get(), name.c_str(), AT_REMOVEDIR);
      return lock.error_with(printable(place));
    }
    // 3.
    if (!is_still_named(dir->get(), name, lock->get())) continue;
    // The place may have given it more than was asked for (a default ACL, a setgid parent).
    auto inner = fs::set_mode(lock->get(), 0700, name);
    if (inner && ::mkdirat(lock->get(), kInner, 0700) != 0) inner = system_error(errno, std::string(kInner));
    if (!inner) {
      (void)::unlinkat(dir->get(), name.c_str(), AT_REMOVEDIR);
      return inner.error_with(printable(place));
    }
    WorkingCopy copy;
    copy.root_ = (place == "/" ? "" : place) + '/' + name;
    copy.lock_ = std::move(*lock);
    copy.target_ = target;
    return copy;
  }
  return make_error(ErrorKind::busy, printable(place) + ": every directory made there was taken away again");
}

Result<WorkingCopy> WorkingCopy::create(const user::Account& target, const Options& options) {
  const fs::ActAs as_target(target.identity());
  Error failure = make_error(ErrorKind::not_found, "no directory to try");
  std::string tried;
  const std::vector<std::string> places = candidates(options.places, target);
  for (const Fit fit : {Fit::comfortable, Fit::just}) {
    tried.clear();
    for (const std::string& place : places) {
      auto copy = create_in(place, target, options, fit);
      if (copy) {
        log::debug("working copy", {{"path", copy->root()}, {"uid", target.uid}});
        return copy;
      }
      failure = copy.error();
      tried += (tried.empty() ? "" : "; ") + failure.message();
    }
  }
  return Error{
      failure.kind, 0,
      fmt::format("no place for a working copy of user {}: {}", printable(target.name),
                  tried.empty() ? failure.message() : tried),
      fmt::format("give it one: {} run --tmpfs /tmp, or --workdir DIR (CLAUDE_INIT_WORKDIR=DIR) with a "
                  "directory that the user can write to",
                  ui::engine_command())};
}

std::string WorkingCopy::name() const {
  return split(root_).second;
}

store::StatePaths WorkingCopy::state() const {
  return store::state_in_config_dir(root_ + '/' + kInner);
}

bool WorkingCopy::noexec() const {
  return is_noexec(lock_.get());
}

Result<UniqueFd> WorkingCopy::open_config_dir() const {
  const fs::ActAs as_target(target_.identity());
  return fs::open_beneath(lock_.get(), kInner, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
}

void WorkingCopy::link_home(const std::string& home) {
  const fs::ActAs as_target(target_.identity());
  const store::StatePaths there = store::state_in_home(home);
  if (!make_free(there.claude_json) || !make_free(there.config_dir)) {
    log::debug("the home directory has a state of its own: not linked", {{"home", home}});
    return;
  }
  // Both or none: a CLI that finds one half of this state and one of another is worse off than without.
  linked_home_ = home;
  if (replace_with_link(there.config_dir, state().config_dir) &&
      !replace_with_link(there.claude_json, state().claude_json)) {
    (void)::unlink(there.config_dir.c_str());
  }
}

std::string WorkingCopy::make_home(const std::string& instead_of) const {
  const fs::ActAs as_target(target_.identity());
  const store::StatePaths here = state();
  const auto link = [&](std::string_view name, const std::string& to) {
    (void)::symlinkat(to.c_str(), lock_.get(), std::string(name).c_str());  // one that is there stays
  };
  link(".claude", here.config_dir);
  link(store::kClaudeJson, here.claude_json);
  if (instead_of.empty()) return root_;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(instead_of.c_str()), ::closedir);
  std::size_t left = kMaxHomeEntries;
  while (const dirent* entry = stream && left > 0 ? ::readdir(stream.get()) : nullptr) {
    const std::string_view name(entry->d_name);
    // Beside the configuration directory the CLI has a lock.
    const bool ours = name == "." || name == ".." || name.starts_with(kInner);
    if (ours) continue;
    link(name, fs::join(instead_of, name));
    --left;
  }
  return root_;
}

void WorkingCopy::keep_lock_over_exec() {
  (void)::fcntl(lock_.get(), F_SETFD, 0);
}

void WorkingCopy::wipe_login() const {
  const fs::ActAs as_target(target_.identity());
  remove_login(lock_.get());
}

Result<void> WorkingCopy::wipe(const Deadline& deadline) {
  const fs::ActAs as_target(target_.identity());
  if (!linked_home_.empty()) {
    const store::StatePaths there = store::state_in_home(linked_home_);
    const store::StatePaths here = state();
    if (fs::read_link(AT_FDCWD, there.config_dir) == here.config_dir)
      (void)::unlink(there.config_dir.c_str());
    if (fs::read_link(AT_FDCWD, there.claude_json) == here.claude_json)
      (void)::unlink(there.claude_json.c_str());
  }
  const auto [place, name] = split(root_);
  const UniqueFd dir(::open(place.empty() ? "/" : place.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!dir.valid()) return system_error(errno, "wipe " + printable(root_));
  // What there is no time for has been saved from: from here on it is like any run's.
  const std::string as_a_runs = is_copy_name(name, kRun) ? name : random_name(kRun);
  const bool renamed = ::renameat(dir.get(), name.c_str(), dir.get(), as_a_runs.c_str()) == 0;
  remove_login(lock_.get());
  const auto removed = fs::remove_tree(dir.get(), renamed ? as_a_runs : name, deadline);
  if (!removed) return removed.error_with("wipe " + printable(root_));
  return {};
}

std::vector<WorkingCopy> take_dead_copies(const user::Account& target, const Places& places,
                                          std::string_view kind) {
  const fs::ActAs as_target(target.identity());
  std::vector<WorkingCopy> taken;
  for (const std::string& path : candidates(places, target)) {
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), ::closedir);
    if (!stream) continue;
    while (const dirent* entry = ::readdir(stream.get())) {
      const std::string name(entry->d_name);
      if (!is_copy_name(name, kind)) continue;
      auto lock = open_locked(::dirfd(stream.get()), name, target);
      if (!lock) continue;  // alive, or not ours
      WorkingCopy copy;
      copy.root_ = (path == "/" ? "" : path) + '/' + name;
      copy.lock_ = std::move(*lock);
      copy.target_ = target;
      taken.push_back(std::move(copy));
    }
  }
  return taken;
}

std::size_t remove_dead_copies(const user::Account& target, const Places& places, const Deadline& deadline) {
  std::size_t removed = 0;
  for (WorkingCopy& copy : take_dead_copies(target, places, WorkingCopy::kRun)) {
    const auto gone = copy.wipe(deadline);
    if (gone) ++removed;
    log::debug(gone ? "dead working copy removed" : "dead working copy stays", {{"path", copy.root()}});
  }
  return removed;
}

}  // namespace claude_init::workcopy
