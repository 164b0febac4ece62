#include "store/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <optional>
#include <thread>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/id.h"
#include "store/locking.h"

namespace claude_init::store {
namespace {

using Clock = std::chrono::steady_clock;

/// Four lines: host, pid, purpose, since.
std::string write_holder(std::string_view purpose) {
  std::array<char, HOST_NAME_MAX + 1> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return fmt::format("{}\n{}\n{}\n{}\n", host.data(), ::getpid(), purpose, unix_now());
}

std::string_view next_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

/// What a holder wrote is for people only, and may be unfinished.
Holder parse_holder(std::string_view rest) {
  Holder holder;
  holder.host = next_line(rest);
  const std::string_view pid = next_line(rest);
  holder.purpose = next_line(rest);
  const std::string_view since = next_line(rest);
  std::from_chars(pid.data(), pid.data() + pid.size(), holder.pid);
  std::from_chars(since.data(), since.data() + since.size(), holder.since);
  if (holder.host.empty()) holder.host = "unknown";
  if (holder.purpose.empty()) holder.purpose = "somebody";
  return holder;
}

Holder read_holder(int fd) {
  std::array<char, kMaxHolder> text{};
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  // What fills the buffer was not written by one of us.
  const bool plausible = n > 0 && static_cast<std::size_t>(n) < text.size();
  return parse_holder({text.data(), plausible ? static_cast<std::size_t>(n) : 0});
}

/// What this process has seen, whichever object of the store it looked with: who does not wait opens it anew
/// for each try. A holder's name is random, so stores are not confused.
Sightings& sightings() {
  thread_local Sightings seen;
  return seen;
}

/// Tries for a flock.
class FlockContest {
 public:
  static Result<FlockContest> open(int locks, std::string_view name, mode_t mode) {
    auto fd = fs::open_beneath(locks, name, O_RDWR | O_CREAT | O_NOFOLLOW, fs::Links::refuse, mode);
    if (!fd) return fd.error();
    return FlockContest(std::move(*fd));
  }

  /// Null: somebody holds it.
  Result<std::optional<UniqueFd>> try_once(std::string_view text) {
    int error = 0;
    do {
      error = ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == EWOULDBLOCK) return std::optional<UniqueFd>();
    if (error != 0) return system_error(error, "flock");
    // Only told to others: a full disk is no reason to fail here.
    if (::ftruncate(fd_.get(), 0) != 0 || ::pwrite(fd_.get(), text.data(), text.size(), 0) < 0)
      log::debug("cannot note who holds the lock");
    return std::optional(std::move(fd_));
  }
  [[nodiscard]] Holder holder() const { return read_holder(fd_.get()); }

 private:
  explicit FlockContest(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

/// How long to pause between two tries after having waited for so long: at first `newcomer`, then less and
/// less, down to `veteran`. Nobody queues, but who has waited long is up to twenty times as likely to be
/// there when the lock becomes free.
struct Pauses {
  Milliseconds newcomer;
  Milliseconds veteran;
  [[nodiscard]] Milliseconds after(Milliseconds waited) const {
    constexpr Milliseconds kHalving{100};
    return std::max(veteran, newcomer * kHalving.count() / (kHalving + waited).count());
  }
};

/// Tries until it is taken or `wait` is over; says after a while for whom we wait.
// 1. Try.
// 2. In vain and long enough: who holds it.
// 3. Told once while waiting.
template <class Taken, class Try, class WhoHolds, class MayGiveUp>
Result<Taken> contend(const Store& store, Milliseconds wait, const Pauses& pauses, Try try_once,
                      WhoHolds who_holds, MayGiveUp may_give_up) {
  // holder() takes a flock for an instant to see whether it is free: one try could meet it.
  constexpr Milliseconds kShortestWait{50};
  constexpr Milliseconds kTellAfter{1000};
  const SteadyTime start = Clock::now();
  bool told = false;
  while (true) {
    // 1.
    auto taken = try_once();
    if (!taken) return taken.error_with("lock " + printable(store.path()));
    if (*taken) return std::move(**taken);
    const auto waited = std::chrono::duration_cast<Milliseconds>(Clock::now() - start);
    // 2.
    if (waited >= std::max(wait, kShortestWait) && (wait == Milliseconds(0) || may_give_up())) {
      return make_error(ErrorKind::busy,
                        printable(store.path()) + " is in use: " + who_holds().describe(unix_now()),
                        "end that one first, or wait for it");
    }
    // 3.
    if (waited >= kTellAfter && !told) {
      log::warn("waiting for " + printable(store.path()) +
                ", which is in use: " + who_holds().describe(unix_now()));
      told = true;
    }
    if (auto go_on = interrupt::check(); !go_on) return go_on.error_with("lock " + printable(store.path()));
    std::this_thread::sleep_for(pauses.after(waited));
  }
}

}  // namespace

std::string Holder::describe(UnixMs now) const {
  return fmt::format("{} on host {} (pid {}, for {})", printable(purpose), printable(host), pid,
                     format_duration(now - since));
}

Result<Lock> Lock::acquire(const Store& store, std::string_view name, std::string_view purpose,
                           Milliseconds wait) {
  constexpr Pauses kFlockPauses{Milliseconds(40), Milliseconds(2)};
  constexpr Pauses kLeasePauses{Milliseconds(100), Milliseconds(10)};  // each try asks a server
  const SteadyTime start = Clock::now();
  const fs::ActAs as(store.owner());
  const std::string what = "lock " + printable(store.path());
  auto locks = open_locks(store);
  if (!locks) return locks.error_with(what);
  Lock lock;
  lock.patience_ends_ = start + wait;
  const std::string text = write_holder(purpose);
  if (locks->method == Locking::flock) {
    auto contest = FlockContest::open(locks->directory.get(), name, store.modes().file);
    if (!contest) return contest.error_with(what);
    auto taken = contend<UniqueFd>(
        store, wait, kFlockPauses, [&] { return contest->try_once(text); }, [&] { return contest->holder(); },
        [] { return true; });
    if (!taken) return taken.error();
    lock.fd_ = std::move(*taken);
  } else {
    LeaseContest contest(std::move(locks->directory), std::string(name), text, store.tree(), store.modes(),
                         sightings(), store.options().lease);
    const auto try_once = [&]() -> Result<std::optional<std::unique_ptr<Lease>>> {
      auto lease = contest.try_once();
      if (!lease) return lease.error();
      return *lease ? std::optional(std::move(*lease)) : std::nullopt;
    };
    auto taken = contend<std::unique_ptr<Lease>>(
        store, wait, kLeasePauses, try_once, [&] { return parse_holder(contest.holder_text()); },
        [&] { return contest.holder_lives(); });
    if (!taken) return taken.error();
    lock.lease_ = std::move(*taken);
  }
  if (const auto named = ensure_id(store); !named) return named.error_with(what);
  log::debug("locked", {{"lock", name}, {"path", store.path()}, {"took", took_since(start)}});
  return lock;
}

Holder Lock::holder(const Store& store, std::string_view name) {
  const fs::ActAs as(store.owner());
  const auto locks = look_at_locks(store);
  if (!locks) return {};
  if (locks->method == Locking::lease) {
    const auto text = lease_holder(locks->directory.get(), std::string(name));
    return text ? parse_holder(*text) : Holder{};
  }
  const auto file = fs::open_regular(locks->directory.get(), name, fs::Links::refuse);
  if (!file || ::flock(file->fd.get(), LOCK_SH | LOCK_NB) == 0) return {};
  return errno == EWOULDBLOCK ? read_holder(file->fd.get()) : Holder{};
}

}  // namespace claude_init::store
