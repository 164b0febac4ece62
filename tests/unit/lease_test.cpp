#include "store/lease.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "state_helpers.h"
#include "store/lock.h"

using namespace claude_init;
using namespace claude_init::store;
using test::TempDir;

namespace {

using Clock = std::chrono::steady_clock;
constexpr LeaseTimes kQuick{Milliseconds{100}, Milliseconds{1500}};

Store open_with_lease(const TempDir& dir, const LeaseTimes& times = kQuick) {
  StoreOptions options;
  options.locking = Locking::lease;
  options.lease = times;
  auto store = Store::open(dir.path(), options);
  REQUIRE(store.ok());
  return std::move(*store);
}

std::size_t entries(const TempDir& dir, const std::string& name) {
  namespace fs = std::filesystem;
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(dir.path(name)), fs::directory_iterator()));
}

/// A process that takes the lease "store", says so, and holds it until it is killed.
pid_t start_holder(const TempDir& dir) {
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const Store store = open_with_lease(dir);
    const auto lock = Lock::acquire(store, "store", "child", Milliseconds{0});
    [[maybe_unused]] const ssize_t told = ::write(ready[1], lock ? "y" : "n", 1);
    while (true) ::pause();
  }
  char taken = 'n';
  REQUIRE(::read(ready[0], &taken, 1) == 1);
  REQUIRE(taken == 'y');
  ::close(ready[0]);
  ::close(ready[1]);
  return child;
}

void end(pid_t child) {
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
}

}  // namespace

TEST_CASE("a lease is held once, tells who holds it, and is given back") {
  const TempDir dir;
  const Store store = open_with_lease(dir);
  {
    const auto lock = Lock::acquire(store, "setup", "setup", Milliseconds{0});
    REQUIRE(lock.ok());
    CHECK(lock->fd() == -1);
    CHECK(lock->verify().ok());
    const auto second = Lock::acquire(open_with_lease(dir), "setup", "another", Milliseconds{0});
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().kind == ErrorKind::busy);
    CHECK(second.error().what.find("setup on host") != std::string::npos);
    CHECK(Lock::acquire(store, "store", "capture", Milliseconds{0}).ok());
  }
  CHECK(Lock::acquire(store, "setup", "another", Milliseconds{0}).ok());
  // method, setup.lease, store.lease, and nothing that was prepared.
  CHECK(entries(dir, ".claude-init/locks") == 3);
}

TEST_CASE("a holder that lives is known within a heartbeat, and never taken over") {
  const TempDir dir;
  const pid_t child = start_holder(dir);
  const auto start = Clock::now();
  const auto refused = Lock::acquire(open_with_lease(dir), "store", "x", Milliseconds{1});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find(std::to_string(child)) != std::string::npos);
  CHECK(Clock::now() - start < kQuick.stale);
  CHECK_FALSE(Lock::acquire(open_with_lease(dir), "store", "x", 2 * kQuick.stale).ok());
  end(child);
}

TEST_CASE("a killed holder blocks others for the stale time") {
  const TempDir dir;
  const pid_t child = start_holder(dir);
  end(child);
  const auto start = Clock::now();
  const auto lock = Lock::acquire(open_with_lease(dir), "store", "x", Milliseconds{1});
  REQUIRE(lock.ok());
  CHECK(Clock::now() - start >= kQuick.stale);
  CHECK(Clock::now() - start < 4 * kQuick.stale);
}

TEST_CASE("tries that do not wait learn from each other that a holder is gone, each by a store opened anew") {
  const TempDir dir;
  end(start_holder(dir));
  const auto start = Clock::now();
  while (!Lock::acquire(open_with_lease(dir), "store", "x", Milliseconds{0}).ok())
    REQUIRE(Clock::now() - start < 20 * kQuick.stale);
  CHECK(Clock::now() - start >= kQuick.stale);
}

TEST_CASE("a holder that stood still learns that its lease was taken over, and does not touch the new one") {
  const TempDir dir;
  const Store store = open_with_lease(dir, {Milliseconds{3'600'000}, Milliseconds{7'200'000}});
  auto stopped = Lock::acquire(store, "store", "stopped", Milliseconds{0});
  REQUIRE(stopped.ok());
  CHECK(stopped->verify().ok());
  {
    const auto successor = Lock::acquire(open_with_lease(dir), "store", "successor", Milliseconds{1});
    REQUIRE(successor.ok());
    const auto lost = stopped->verify();
    REQUIRE_FALSE(lost.ok());
    CHECK(lost.error().kind == ErrorKind::busy);
    { const Lock gone = std::move(*stopped); }
    CHECK(successor->verify().ok());
    const auto third = Lock::acquire(open_with_lease(dir), "store", "third", Milliseconds{0});
    REQUIRE_FALSE(third.ok());
    CHECK(third.error().what.find("successor on host") != std::string::npos);
  }
}

TEST_CASE("a holder whose heartbeat could not be written for too long does not trust its lease") {
  const TempDir dir;
  const Store store = open_with_lease(dir, {Milliseconds{1'000'000}, Milliseconds{1'000'200}});
  const auto lock = Lock::acquire(store, "store", "x", Milliseconds{0});
  REQUIRE(lock.ok());
  std::this_thread::sleep_for(Milliseconds{250});
  CHECK_FALSE(lock->verify().ok());
}

TEST_CASE("two that break the same stale lease do not both get it") {
  for (int round = 0; round < 5; ++round) {
    const TempDir dir;
    const LeaseTimes times{Milliseconds{100}, Milliseconds{400}};
    {
      // Left behind by a killed one: a file in it whose heartbeat stands still.
      const Store store = open_with_lease(dir, times);
      REQUIRE(open_locks(store).ok());
      dir.dir(".claude-init/locks/store.lease");
      dir.file(".claude-init/locks/store.lease/dead", "host\n1\nkilled\n1\n");
    }
    std::atomic<int> holding{0};
    std::atomic<int> most{0};
    std::string failure;
    std::vector<std::thread> threads;
    for (int n = 0; n < 4; ++n) {
      threads.emplace_back([&] {
        StoreOptions options;
        options.lease = times;
        const auto store = Store::open(dir.path(), options);
        const auto lock = Lock::acquire(*store, "store", "x", Milliseconds{20'000});
        if (!lock) {
          failure = lock.error().message();
          return;
        }
        const int now = ++holding;
        if (now > most) most = now;
        std::this_thread::sleep_for(Milliseconds{20});
        --holding;
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(failure.empty());
    CHECK(most == 1);
  }
}

TEST_CASE("what was prepared for a lease long ago is removed") {
  const TempDir dir;
  const Store store = open_with_lease(dir);
  REQUIRE(open_locks(store).ok());
  dir.dir(".claude-init/locks/store.lease.old");
  dir.file(".claude-init/locks/store.lease.old/old", "");
  dir.mtime(".claude-init/locks/store.lease.old", 1'000'000);
  dir.dir(".claude-init/locks/store.lease.new");
  CHECK(Lock::acquire(store, "store", "x", Milliseconds{0}).ok());
  CHECK_FALSE(dir.exists(".claude-init/locks/store.lease.old"));
  CHECK(dir.exists(".claude-init/locks/store.lease.new"));
}

TEST_CASE("time in which nobody could look does not count as a heartbeat that stands still") {
  const LeaseTimes times{Milliseconds{5'000}, Milliseconds{30'000}};
  Sightings sightings;
  const SteadyTime start = Clock::now();
  const auto at = [&](int seconds) { return start + std::chrono::seconds(seconds); };
  CHECK(sightings.still_for("a", 1, at(0), times) == Milliseconds{0});
  for (int s = 5; s <= 25; s += 5)
    CHECK(sightings.still_for("a", 1, at(s), times) == std::chrono::seconds(s));
  CHECK(sightings.still_for("a", 1, at(60), times) == Milliseconds{0});
  CHECK_FALSE(sightings.moved_since("a", start));
  // A clock that was set back is a change like any other.
  CHECK(sightings.still_for("a", 0, at(65), times) == Milliseconds{0});
  CHECK(sightings.moved_since("a", start));
  CHECK_FALSE(sightings.moved_since("a", at(66)));
}
