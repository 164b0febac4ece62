#include "lock/lease.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

#include "fake_clock.h"
#include "lock/lock.h"
#include "state_helpers.h"
#include "lock/lock_method.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::lock;
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

/// A holder elsewhere: its file in the lease's directory, and its heartbeat while we sleep.
class Elsewhere {
 public:
  explicit Elsewhere(const TempDir& dir, const std::string& word)
      : path_(dir.path(".claude-init/locks/store.lease/" + word)) {
    REQUIRE(open_locks(open_with_lease(dir)).ok());
    dir.dir(".claude-init/locks/store.lease");
    dir.file(".claude-init/locks/store.lease/" + word, "far\n4711\ncapture\n1\n");
  }
  void beat_while_we_sleep() {
    if (Clock::now() - last_ < kQuick.beat) return;
    last_ = Clock::now();
    const timespec times[] = {{1, 0}, {++beats_, 0}};
    REQUIRE(::utimensat(AT_FDCWD, path_.c_str(), times, 0) == 0);
  }

 private:
  std::string path_;
  SteadyTime last_;
  time_t beats_ = 0;
};

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
  Elsewhere holder(dir, "living");
  const test::WhileSleeping beating([&] { holder.beat_while_we_sleep(); });
  const auto start = Clock::now();
  const auto refused = Lock::acquire(open_with_lease(dir), "store", "x", Milliseconds{1});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find("4711") != std::string::npos);
  CHECK(Clock::now() - start <= 2 * kQuick.beat);
  CHECK_FALSE(Lock::acquire(open_with_lease(dir), "store", "x", 20 * kQuick.stale).ok());
}

TEST_CASE("a killed holder blocks others for the stale time") {
  const TempDir dir;
  const Elsewhere killed(dir, "killed");
  const auto start = Clock::now();
  const auto lock = Lock::acquire(open_with_lease(dir), "store", "x", Milliseconds{1});
  REQUIRE(lock.ok());
  CHECK(Clock::now() - start >= kQuick.stale);
  CHECK(Clock::now() - start <= kQuick.stale + kQuick.beat);
}

TEST_CASE("tries that do not wait learn from each other that a holder is gone, each by a store opened anew") {
  const TempDir dir;
  const Elsewhere killed(dir, "killed earlier");
  const auto start = Clock::now();
  while (!Lock::acquire(open_with_lease(dir), "store", "x", Milliseconds{0}).ok()) {
    test::let_pass(Milliseconds{50});
    REQUIRE(Clock::now() - start < 2 * kQuick.stale);
  }
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
  test::let_pass(Milliseconds{199});
  CHECK(lock->verify().ok());
  test::let_pass(Milliseconds{1});
  CHECK_FALSE(lock->verify().ok());
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
