#include "lock/cli_locks.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "fake_clock.h"
#include "state_helpers.h"
#include "sync/capture.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using namespace claude_init::lock;
using test::TempDir;

namespace {

using Clock = std::chrono::steady_clock;
using What = CliLocks::What;

Result<CliLocks> take(const TempDir& dir, What what, Milliseconds wait = Milliseconds{0}) {
  return CliLocks::take(test::open_store(dir.path("s")).tree(), what, Clock::now() + wait);
}

}  // namespace

TEST_CASE("the CLI's locks are held while they are needed, and nothing stays behind") {
  const TempDir dir;
  dir.dir("s");
  {
    const auto locks = take(dir, What::login);
    REQUIRE(locks.ok());
    CHECK(dir.exists("s/.oauth_refresh.lock"));
    CHECK(dir.exists("s/.storage-write.lock"));
    CHECK(dir.exists("s.lock"));
    CHECK_FALSE(dir.exists("s/.claude.json.lock"));
    CHECK(take(dir, What::settings).ok());
  }
  for (const char* name : {"s/.oauth_refresh.lock", "s/.storage-write.lock", "s.lock", "s/.claude.json.lock"})
    CHECK_FALSE(dir.exists(name));
}

TEST_CASE("a fresh lock of a CLI is waited for, and kept") {
  const TempDir dir;
  dir.dir("s");
  for (const char* name : {"s/.oauth_refresh.lock", "s/.storage-write.lock", "s.lock"}) {
    dir.dir(name);
    const auto start = Clock::now();
    const auto refused = take(dir, What::login, Milliseconds{100});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().kind == ErrorKind::busy);
    CHECK(Clock::now() - start >= Milliseconds{100});
    CHECK(Clock::now() - start <= Milliseconds{120});
    CHECK(dir.exists(name));
    const SteadyTime end = Clock::now() + Milliseconds{10'000};
    const test::WhileSleeping cli([&] {
      if (Clock::now() >= end) ::rmdir(dir.path(name).c_str());
    });
    CHECK(take(dir, What::login, Milliseconds{20'000}).ok());
    CHECK(Clock::now() - end <= Milliseconds{20});
  }
}

TEST_CASE("a lock that is older than the CLI itself waits, or ours that was left by a kill, is taken over") {
  const TempDir dir;
  dir.dir("s");
  dir.dir("s/.oauth_refresh.lock");
  dir.mtime("s/.oauth_refresh.lock", unix_now() / 1000 - 61);
  dir.dir("s/.storage-write.lock", 01700);
  CHECK(take(dir, What::login).ok());
  CHECK_FALSE(dir.exists("s/.oauth_refresh.lock"));
  dir.dir("s/.oauth_refresh.lock");
  dir.mtime("s/.oauth_refresh.lock", unix_now() / 1000 - 50);
  CHECK_FALSE(take(dir, What::login).ok());
}

TEST_CASE("a lock that nobody holds and that cannot be removed is told as that, at once") {
  const TempDir dir;
  dir.dir("s");
  dir.dir("s/.oauth_refresh.lock");
  dir.file("s/.oauth_refresh.lock/in-the-way", "");
  REQUIRE(::chmod(dir.path("s/.oauth_refresh.lock").c_str(), 01700) == 0);
  const auto start = Clock::now();
  const auto refused = take(dir, What::login, Milliseconds{5'000});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind != ErrorKind::busy);
  CHECK(refused.error().number == ENOTEMPTY);
  CHECK(Clock::now() == start);
}

TEST_CASE("a lock that a CLI has taken over from us is not given back by us") {
  const TempDir dir;
  dir.dir("s");
  {
    const auto locks = take(dir, What::settings);
    REQUIRE(locks.ok());
    REQUIRE(::rename(dir.path("s/.claude.json.lock").c_str(), dir.path("old").c_str()) == 0);
    dir.dir("s/.claude.json.lock");
  }
  CHECK(dir.exists("s/.claude.json.lock"));
}

TEST_CASE("a capture waits for a CLI in the store, judges what that has written, and captures no lock") {
  const TempDir dir;
  dir.dir("s");
  dir.dir("c");
  test::FakeLogin login;
  dir.file("c/.credentials.json", login.text());
  dir.dir("c/.storage-write.lock");
  dir.dir("s/.oauth_refresh.lock");
  const Store store = test::open_store(dir.path("s"));
  const auto capture_now = [&](Milliseconds wait) {
    const auto lock = Lock::acquire(store, "store", "test", wait);
    REQUIRE(lock.ok());
    return capture(state_in_config_dir(dir.path("c")), fs::current_identity(), store, *lock, {});
  };
  const auto refused = capture_now(Milliseconds{0});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::busy);
  CHECK_FALSE(dir.exists("s/.credentials.json"));
  const test::WhileSleeping cli([&] {
    if (!dir.exists("s/.oauth_refresh.lock")) return;
    test::FakeLogin later = login;
    later.access = "FAKE-access-2";
    later.valid_for = 7'200'000;
    dir.file("s/.credentials.json", later.text());
    ::rmdir(dir.path("s/.oauth_refresh.lock").c_str());
  });
  const auto report = capture_now(Milliseconds{20'000});
  REQUIRE(report.ok());
  CHECK(report->login.choice == login::Choice::keep_store);
  CHECK(dir.read("s/.credentials.json").find("FAKE-access-2") != std::string::npos);
  CHECK_FALSE(dir.exists("s/.storage-write.lock"));
}
