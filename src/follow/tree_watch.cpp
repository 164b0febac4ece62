#include "follow/tree_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"

namespace claude_init::follow {
namespace {

constexpr std::uint32_t kChanges = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE |
                                   IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DONT_FOLLOW | IN_EXCL_UNLINK;
constexpr std::size_t kMaxEntries = 200'000;  // of one directory, looked through for more directories

Result<std::vector<std::string>> directories_in(const std::string& path, fs::Identity who) {
  const auto directory = fs::open_root(path, who);
  if (!directory) return directory.error();
  const auto entries = fs::list_directory(directory->get(), kMaxEntries);
  if (!entries) return entries.error();
  std::vector<std::string> names;
  for (const fs::Entry& entry : *entries) {
    if (S_ISDIR(entry.st.st_mode)) names.push_back(entry.name);
  }
  return names;
}

}  // namespace

TreeWatch::TreeWatch(boost::asio::io_context& io, loop::Inotify& inotify, Options options)
    : options_(std::move(options)),
      inotify_(inotify),
      again_(io, options_.interval, options_.interval, [this] {
        if (!complete_) watch_all();
        options_.on_change();
        if (!complete_) again_.poke();
      }) {}

TreeWatch::~TreeWatch() {
  inotify_.forget(*this);
}

void TreeWatch::start() {
  check_root();
}

void TreeWatch::notify_again() {
  again_.poke();
}

void TreeWatch::check_root() {
  const fs::ActAs as(options_.who);
  struct stat st {};
  const bool there = ::stat(options_.root.c_str(), &st) == 0;
  if (there && st.st_dev == device_ && st.st_ino == inode_) return;
  device_ = st.st_dev;
  inode_ = st.st_ino;
  watch_all();
  again_.poke();
}

void TreeWatch::on_event(const loop::Inotify::Event& event) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    watch_all();
    return again_.poke();
  }
  const auto found = paths_.find(event.watch);
  if (found == paths_.end()) return;
  if ((event.mask & (IN_IGNORED | IN_UNMOUNT)) != 0) {
    paths_.erase(found);
    return again_.poke();
  }
  if (event.name.empty()) return;
  const std::string path = fs::join(found->second, event.name);
  if ((event.mask & IN_ISDIR) == 0) {
    // The login's files have watches that wait less.
    if (path == store::kCredentials || path == store::kClaudeJson) return;
    if (options_.filter.captures(path)) again_.poke();
    return;
  }
  if (!options_.filter.enters(path)) return;
  if ((event.mask & (IN_MOVED_FROM | IN_DELETE)) != 0) forget_below(path);
  // What was made in it before it was watched is found by looking through it, and captured since it is told.
  if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
    watch_below(path, static_cast<unsigned>(std::count(path.begin(), path.end(), '/') + 1));
  }
  again_.poke();
}

void TreeWatch::watch_all() {
  inotify_.forget(*this);
  paths_.clear();
  complete_ = true;
  watch_below("", 0);
  if (complete_) return;
  log::debug("not every directory can be watched: looking again and again",
             {{"path", printable(options_.root)}, {"watched", paths_.size()}});
}

/// Watches first and looks then, so that a directory that is made meanwhile is told or found, or both. One
/// that is gone again by then is no obstacle.
void TreeWatch::watch_below(const std::string& relative, unsigned depth) {
  if (depth > options_.max_depth || paths_.size() >= options_.max_directories) {
    complete_ = false;
    return;
  }
  const std::string path = relative.empty() ? options_.root : fs::join(options_.root, relative);
  const fs::ActAs as(options_.who);
  const std::uint32_t mask = relative.empty() ? kChanges & ~IN_DONT_FOLLOW : kChanges;
  const auto watch = inotify_.add(path, mask, *this);
  if (watch) paths_[*watch] = relative;
  const auto below = watch ? directories_in(path, options_.who) : watch.error();
  if (!below) {
    // What may not be read is not captured either.
    const ErrorKind kind = below.error().kind;
    if (kind == ErrorKind::not_found || kind == ErrorKind::permission) return;
    log::debug("no watch", {{"path", printable(path)}, {"reason", below.error().message()}});
    complete_ = false;
    return;
  }
  for (const std::string& name : *below) {
    const std::string inside = fs::join(relative, name);
    if (options_.filter.enters(inside)) watch_below(inside, depth + 1);
  }
}

void TreeWatch::forget_below(const std::string& relative) {
  for (auto at = paths_.begin(); at != paths_.end();) {
    const std::string& path = at->second;
    const bool inside = path == relative || path.starts_with(relative + "/");
    if (inside) inotify_.remove(at->first, *this);
    at = inside ? paths_.erase(at) : std::next(at);
  }
}

}  // namespace claude_init::follow
