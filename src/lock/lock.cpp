#include "lock/lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <thread>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "lock/lock_holder.h"
#include "lock/lock_method.h"
#include "log/log.h"
#include "store/provenance.h"

namespace claude_init::lock {
namespace {

using Clock = std::chrono::steady_clock;

constexpr mode_t kLockMode = 0600;

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
  static Result<FlockContest> open(int locks, std::string_view name) {
    auto fd = fs::open_beneath(locks, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, fs::Links::refuse,
                               kLockMode);
    if (!fd) return fd.error();
    return FlockContest(std::move(*fd));
  }

  /// Null: another process holds it.
  Result<std::optional<UniqueFd>> try_once(std::string_view text) {
    int error = 0;
    do {
      error = ::flock(fd_.get(), LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    } while (error == EINTR);
    if (error == EWOULDBLOCK) return std::optional<UniqueFd>();
    if (error != 0) return system_error(error, "flock");
    // Only warned to others: a full disk is no reason to fail here.
    if (::ftruncate(fd_.get(), 0) != 0 || ::pwrite(fd_.get(), text.data(), text.size(), 0) < 0)
      log::debug("cannot note who holds the lock");
    return std::optional(std::move(fd_));
  }
  [[nodiscard]] std::string holder() const {
    return name_flock_holder(fd_.get(), read_holder(fd_.get()), unix_now());
  }

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

/// How long acquire() waits.
struct Patience {
  Milliseconds wait;
  const Deadline& deadline;
};

/// Tries until it is taken or the patience is over; says after a while for whom we wait.
// 1. Try.
// 2. In vain and long enough: who holds it.
// 3. Told once while waiting.
template <class Taken, class Try, class WhoHolds, class MayGiveUp>
Result<Taken> contend(const store::Store& store, const Patience& patience, const Pauses& pauses, Try try_once,
                      WhoHolds who_holds, MayGiveUp may_give_up) {
  // An inherited descriptor lives until its process executes: one try could meet it.
  constexpr Milliseconds kShortestWait{50};
  constexpr Milliseconds kWarnAfter{1000};
  const SteadyTime start = Clock::now();
  bool warned = false;
  while (true) {
    // 1.
    auto taken = try_once();
    if (!taken) return taken.error_with("lock " + printable(store.path()));
    if (*taken) return std::move(**taken);
    const auto waited = std::chrono::duration_cast<Milliseconds>(Clock::now() - start);
    // 2.
    const bool long_enough = waited >= std::max(patience.wait, kShortestWait) &&
                             (patience.wait == Milliseconds(0) || may_give_up());
    if (long_enough || (waited >= kShortestWait && patience.deadline.has_come())) {
      return make_error(ErrorKind::busy, printable(store.path()) + " is in use: " + who_holds(),
                        "end that one first, or wait for it");
    }
    // 3.
    if (waited >= kWarnAfter && !warned) {
      log::warn("waiting for " + printable(store.path()) + ", which is in use: " + who_holds());
      warned = true;
    }
    if (auto go_on = interrupt::check(); !go_on) return go_on.error_with("lock " + printable(store.path()));
    std::this_thread::sleep_for(pauses.after(waited));
  }
}

}  // namespace

Result<Lock> Lock::acquire(const store::Store& store, std::string_view name, std::string_view purpose,
                           Milliseconds wait, const Deadline& deadline) {
  constexpr Pauses kFlockPauses{Milliseconds(40), Milliseconds(2)};
  constexpr Pauses kLeasePauses{Milliseconds(100), Milliseconds(10)};  // each try asks a server
  const SteadyTime start = Clock::now();
  const fs::ActAs as(store.owner());
  const std::string what = "lock " + printable(store.path());
  auto locks = open_locks(store);
  if (!locks) return locks.error_with(what);
  Lock lock;
  lock.patience_ends_ = start + wait;
  const Patience patience{wait, deadline};
  const std::string text = write_holder(purpose);
  if (locks->method == store::Locking::flock) {
    auto contest = FlockContest::open(locks->directory.get(), name);
    if (!contest) {
      Error error = explain_lease(contest.error(), locks->directory.get(), std::string(name));
      error.what = what + ": " + error.what;
      return error;
    }
    auto taken = contend<UniqueFd>(
        store, patience, kFlockPauses, [&] { return contest->try_once(text); },
        [&] { return contest->holder(); }, [] { return true; });
    if (!taken) return taken.error();
    lock.fd_ = std::move(*taken);
  } else {
    LeaseContest contest(std::move(locks->directory), std::string(name), text, store.tree(), store::Modes{},
                         sightings(), store.options().lease);
    const auto try_once = [&]() -> Result<std::optional<std::unique_ptr<Lease>>> {
      auto lease = contest.try_once();
      if (!lease) return lease.error();
      return *lease ? std::optional(std::move(*lease)) : std::nullopt;
    };
    auto taken = contend<std::unique_ptr<Lease>>(
        store, patience, kLeasePauses, try_once,
        [&] { return parse_holder(contest.holder_text()).describe(unix_now()); },
        [&] { return contest.holder_lives(); });
    if (!taken) return taken.error();
    lock.lease_ = std::move(*taken);
  }
  if (const auto named = store::ensure_id(store); !named) return named.error_with(what);
  log::debug("locked", {{"lock", name}, {"path", store.path()}, {"took", took_since(start)}});
  return lock;
}

Lock Lock::unneeded(Milliseconds wait) {
  Lock lock;
  lock.patience_ends_ = Clock::now() + wait;
  return lock;
}

}  // namespace claude_init::lock
