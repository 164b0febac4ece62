#include "lock/lease.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "base/random.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"

namespace claude_init::lock {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxEntries = 1000;
// What another process prepared and never moved into place. By the file system's own clock: both times are
// its.
constexpr time_t kDebrisAge = 3600;

/// The heartbeat of a lease's file. By open(2), which makes a network file system ask its server; stat(2) may
/// be answered from a cache for a minute (nfs(5), close-to-open). Nothing: it has gone.
std::optional<std::int64_t> read_heartbeat(int locks, const std::string& path) {
  const UniqueFd fd(::openat(locks, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return std::nullopt;
  return st.st_mtim.tv_sec * std::int64_t{1'000'000'000} + st.st_mtim.tv_nsec;
}

/// What is in a lease's directory: the holder's file. Empty: free.
std::vector<std::string> holders(int locks, const std::string& name) {
  std::vector<std::string> found;
  const auto directory = fs::open_beneath(locks, name, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!directory) return found;
  const auto entries = fs::list_directory(directory->get(), kMaxEntries);
  if (!entries) return found;
  for (const fs::Entry& entry : *entries) found.push_back(entry.name);
  return found;
}

std::string lease_name(const std::string& name) {
  return name + ".lease";
}

}  // namespace

Milliseconds Sightings::still_for(const std::string& holder, std::int64_t heartbeat, SteadyTime now,
                                  const store::LeaseTimes& times) {
  std::erase_if(seen_, [&](const auto& old) { return now - old.second.last > 2 * times.stale; });
  const auto [at, is_new] = seen_.try_emplace(holder, Seen{heartbeat, now, now});
  Seen& seen = at->second;
  if (seen.heartbeat != heartbeat) {
    seen = {heartbeat, now, now, true};
  } else if (now - seen.last > 2 * times.beat) {
    seen.first = now;
  }
  seen.last = now;
  return std::chrono::duration_cast<Milliseconds>(now - seen.first);
}

bool Sightings::moved_since(const std::string& holder, SteadyTime since) const {
  const auto at = seen_.find(holder);
  return at != seen_.end() && at->second.moved && at->second.first >= since;
}

struct Lease::Beating {
  std::mutex mutex;
  std::condition_variable wake;
  bool over = false;
  bool lost = false;
  SteadyTime last;  // beat that was written
  // Constant while the thread runs.
  UniqueFd locks;
  std::string path;  // of the file
  std::string store;
  fs::Identity who;
  store::LeaseTimes times;

  void run();
  /// Error number; 0 = written.
  [[nodiscard]] int beat() const {
    return ::utimensat(locks.get(), path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
  }
};

void Lease::Beating::run() {
  const fs::ActAs as(who);
  std::unique_lock guard(mutex);
  while (!wake.wait_for(guard, times.beat, [&] { return over; })) {
    const SteadyTime before = Clock::now();
    guard.unlock();
    const int error = beat();
    guard.lock();
    if (error == 0) last = before;
    if (error == ENOENT || error == ESTALE || error == ENOTDIR) lost = true;
    if (lost) return;
  }
}

Lease::~Lease() {
  {
    const std::lock_guard guard(beating_->mutex);
    beating_->over = true;
  }
  beating_->wake.notify_one();
  const fs::ActAs as(beating_->who);
  // If it fails, the lease becomes stale.
  ::unlinkat(beating_->locks.get(), beating_->path.c_str(), 0);
}

Result<void> Lease::verify() const {
  const fs::ActAs as(beating_->who);
  const bool there = read_heartbeat(beating_->locks.get(), beating_->path).has_value();
  const std::lock_guard guard(beating_->mutex);
  const bool in_time = Clock::now() - beating_->last < beating_->times.stale - beating_->times.beat;
  if (there && in_time && !beating_->lost) return Done{};
  return make_error(ErrorKind::busy,
                    "the lock on " + printable(beating_->store) +
                        " was lost: claude-init or its file system stood still for so long that another "
                        "process may have it",
                    "try again");
}

LeaseContest::LeaseContest(UniqueFd locks, std::string name, std::string text, const store::Tree& tree,
                           const store::Modes& modes, Sightings& sightings, const store::LeaseTimes& times)
    : locks_(std::move(locks)),
      name_(lease_name(name)),
      word_(random_name()),
      text_(std::move(text)),
      tree_(tree),
      modes_(modes),
      sightings_(sightings),
      times_(times),
      begin_(Clock::now()) {}

LeaseContest::~LeaseContest() {
  if (!locks_.valid()) return;  // the lease has it
  const fs::ActAs as(tree_.who);
  if (!prepared_.empty()) static_cast<void>(fs::remove_tree(locks_.get(), prepared_));
  // Moved into place, and the answer was lost.
  ::unlinkat(locks_.get(), fs::join(name_, word_).c_str(), 0);
}

Result<void> LeaseContest::prepare() {
  if (!prepared_.empty()) return Done{};
  const std::string name = name_ + "." + word_;
  const auto made = fs::make_directory(locks_.get(), name, modes_.directory);
  if (!made) return made.error();
  prepared_ = name;
  return fs::write_file(made->get(), word_, text_, modes_.file, fs::Sync::no);
}

Result<bool> LeaseContest::take() {
  if (auto prepared = prepare(); !prepared) return prepared.error();
  const bool moved = ::renameat(locks_.get(), prepared_.c_str(), locks_.get(), name_.c_str()) == 0;
  const int error = moved ? 0 : errno;
  // Also where it was refused: the answer to an earlier sending of the same request may have been lost.
  if (read_heartbeat(locks_.get(), fs::join(name_, word_))) {
    if (!moved) static_cast<void>(fs::remove_tree(locks_.get(), prepared_));
    prepared_.clear();
    return true;
  }
  if (moved || error == ENOENT) {  // another process tidied up what we had prepared
    prepared_.clear();
    return false;
  }
  if (error == EEXIST || error == ENOTEMPTY || error == EBUSY || error == EACCES) return false;
  return system_error(error, "take the lease");
}

/// Removes the file of each holder that has stood still for too long. Whether something may be free now.
bool LeaseContest::break_stale() {
  const std::vector<std::string> found = holders(locks_.get(), name_);
  // A file system that moves no directory onto an empty one: it goes if it really is empty.
  if (found.empty()) return ::unlinkat(locks_.get(), name_.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
  holder_ = fs::join(name_, found.front());
  bool broken = false;
  for (const std::string& word : found) {
    const std::string path = fs::join(name_, word);
    const auto heartbeat = read_heartbeat(locks_.get(), path);
    if (!heartbeat) continue;
    if (sightings_.still_for(path, *heartbeat, Clock::now(), times_) < times_.stale) continue;
    log::warn("took over a lock whose holder is gone or has stood still",
              {{"path", tree_.path}, {"stale_after", format_duration(times_.stale.count())}});
    broken = ::unlinkat(locks_.get(), path.c_str(), 0) == 0 || errno == ENOENT;
  }
  return broken;
}

Result<std::unique_ptr<Lease>> LeaseContest::try_once() {
  const fs::ActAs as(tree_.who);
  const SteadyTime before = Clock::now();
  auto taken = take();
  if (taken && !*taken && break_stale()) taken = take();
  if (!taken) return taken.error();
  if (!*taken) return std::unique_ptr<Lease>();
  remove_debris();

  auto beating = std::make_shared<Lease::Beating>();
  beating->last = before;
  beating->locks = std::move(locks_);
  beating->path = fs::join(name_, word_);
  beating->store = tree_.path;
  beating->who = tree_.who;
  beating->times = times_;
  std::unique_ptr<Lease> lease(new Lease(beating));
  // The heartbeat takes no signal: they are the main thread's.
  sigset_t all;
  sigset_t mask;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &mask);
  Result<std::unique_ptr<Lease>> result(std::move(lease));
  try {
    std::thread([beating] { beating->run(); }).detach();
  } catch (const std::system_error& e) {
    result = system_error(e.code().value(), "start the lock's heartbeat");
  }
  ::pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  return result;
}

bool LeaseContest::holder_lives() const {
  return sightings_.moved_since(holder_, begin_);
}

std::string LeaseContest::holder_text() const {
  const fs::ActAs as(tree_.who);
  const auto file = fs::open_regular(locks_.get(), holder_, fs::Links::refuse);
  if (!file) return "";
  auto text = fs::read_all(*file, kMaxHolder, "lock");
  return text ? std::move(*text) : "";
}

void LeaseContest::remove_debris() {
  struct stat ours {};
  if (::fstatat(locks_.get(), fs::join(name_, word_).c_str(), &ours, AT_SYMLINK_NOFOLLOW) != 0) return;
  const auto entries = fs::list_directory(locks_.get(), kMaxEntries);
  if (!entries) return;
  for (const fs::Entry& entry : *entries) {
    const bool prepared = entry.name.starts_with(name_ + ".");
    const time_t age = ours.st_mtim.tv_sec - entry.st.st_mtim.tv_sec;
    if (prepared && (age > kDebrisAge || age < -kDebrisAge))
      static_cast<void>(fs::remove_tree(locks_.get(), entry.name));
  }
}

}  // namespace claude_init::lock
