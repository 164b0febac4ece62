#include "loop/file_watch.h"

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <deque>
#include <utility>

#include "base/text.h"
#include "fs/filesystem_kind.h"
#include "fs/open.h"
#include "log/log.h"

namespace claude_init::loop {
namespace {

// Long enough for the several events of one change, short enough for what waits for it.
constexpr Milliseconds kSettleLook{15};
constexpr Milliseconds kLatestLook{75};
constexpr int kMaxLinks = 16;

constexpr std::uint32_t kEntry = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr std::uint32_t kContent = kEntry | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB;
constexpr std::uint32_t kSelf = IN_DELETE_SELF | IN_MOVE_SELF;

std::deque<std::string> components(std::string_view path) {
  std::deque<std::string> found;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) found.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return found;
}

/// lstat(2) with the rights of `who`, or with ours where those do not reach.
bool stat_as(const std::string& path, fs::Identity who, struct stat& st) {
  {
    const fs::ActAs as(who);
    if (::lstat(path.c_str(), &st) == 0) return true;
    if (errno != EACCES) return false;
  }
  return ::lstat(path.c_str(), &st) == 0;
}

std::string above(const std::string& path) {
  const std::string parent = fs::parent_of(path);
  return parent.empty() ? "/" : parent;
}

}  // namespace

FileWatch::FileWatch(boost::asio::io_context& io, Inotify& inotify, Options options)
    : options_(std::move(options)),
      inotify_(inotify),
      mounted_(io, kSettleLook, kLatestLook, [this] { recheck_mounts(); }),
      changed_(io, kSettleLook, kLatestLook, [this] { recheck(); }),
      poll_(io, options_.interval, options_.interval, [this] { recheck(); }) {}

FileWatch::~FileWatch() {
  inotify_.forget(*this);
}

void FileWatch::start() {
  inotify_.watch_mounts(*this);
  place_watches();
}

void FileWatch::on_mounts() {
  mounted_.poke();
}

void FileWatch::on_event(const Inotify::Event& event) {
  constexpr std::uint32_t kAnything = IN_Q_OVERFLOW | IN_IGNORED | IN_UNMOUNT | kSelf;
  if ((event.mask & kAnything) == 0) {
    const auto found = watches_.find(event.watch);
    if (found == watches_.end() || !found->second.contains(event.name)) return;
  }
  changed_.poke();
}

void FileWatch::recheck() {
  place_watches();
  options_.on_change();
}

/// A container that starts elsewhere on the host changes nothing here.
void FileWatch::recheck_mounts() {
  const auto watches = watches_;
  const FileId file = file_;
  place_watches();
  if (watches_ != watches || file_ != file) options_.on_change();
}

/// 1. The ways in: each link, and each directory that may be replaced.
/// 2. Watches there; what is no longer on the way is no longer watched.
/// 3. Whether that is enough.
void FileWatch::place_watches() {
  // 1.
  bool too_many_links = false;
  const std::vector<Place> places = places_on_the_way(too_many_links);
  // 2.
  std::map<int, std::set<std::string, std::less<>>> watches;
  bool complete = !too_many_links;
  for (const Place& place : places) {
    const auto added = watch(place);
    if (added) {
      watches[*added].insert(place.name);
      continue;
    }
    log::debug("no watch", {{"path", printable(place.directory)}, {"reason", added.error().message()}});
    // Whoever may not read the directory above still sees the one below go away.
    const bool only_above = &place == &places.front() && places.size() > 1 &&
                            places[1].directory == options_.directory &&
                            added.error().kind == ErrorKind::permission;
    complete = complete && only_above;
  }
  for (const auto& [watch, names] : watches_) {
    if (!watches.contains(watch)) inotify_.remove(watch, *this);
  }
  watches_ = std::move(watches);
  struct stat st {};
  const bool there = stat_as(fs::join(places.back().directory, places.back().name), options_.who, st);
  file_ = there ? FileId{st.st_dev, st.st_ino} : FileId{};
  // 3.
  const bool others =
      !options_.only_here && fs::kind_of(places.back().directory) != fs::FilesystemKind::local;
  const bool polls = !complete || others;
  if (polls != polls_) {
    log::debug(polls ? "looking again and again" : "looking when told",
               {{"path", printable(fs::join(options_.directory, options_.name))}});
  }
  polls_ = polls;
  if (polls_) poll_.poke();
  if (!polls_) poll_.cancel();
}

Result<int> FileWatch::watch(const Place& place) {
  const std::uint32_t mask = (place.is_content ? kContent : kEntry) | kSelf;
  {
    const fs::ActAs as(options_.who);
    auto added = inotify_.add(place.directory, mask, *this);
    if (added || added.error().kind != ErrorKind::permission) return added;
  }
  return inotify_.add(place.directory, mask, *this);
}

/// Follows the path by hand. The directories above `directory`, and above the target of an absolute link, are
/// taken as they are: watching all of them would wake us for whatever happens in / or /tmp. The last place is
/// that of the file, or of the first that is missing on the way to it.
std::vector<FileWatch::Place> FileWatch::places_on_the_way(bool& too_many_links) const {
  std::vector<Place> places;
  std::string directory = above(options_.directory);
  std::deque<std::string> left{fs::name_of(options_.directory), options_.name};
  for (int links = 0; !left.empty();) {
    const std::string name = std::move(left.front());
    left.pop_front();
    if (name == ".") continue;
    const std::string path = directory == "/" ? "/" + name : fs::join(directory, name);
    struct stat st {};
    const bool there = stat_as(path, options_.who, st);
    const bool is_content = left.empty() && !(there && S_ISLNK(st.st_mode));
    if (name != "..") places.push_back({directory, name, is_content});
    if (!there || is_content) return places;
    if (!S_ISLNK(st.st_mode)) {
      directory = path;
      continue;
    }
    const std::string target = fs::read_link(AT_FDCWD, path);
    too_many_links = target.empty() || ++links > kMaxLinks;
    if (too_many_links) return places;
    auto more = components(target);
    if (target.front() == '/') {
      directory = above(target);
      more.erase(more.begin(), more.empty() ? more.begin() : more.end() - 1);
    }
    left.insert(left.begin(), more.begin(), more.end());
  }
  return places;
}

}  // namespace claude_init::loop
