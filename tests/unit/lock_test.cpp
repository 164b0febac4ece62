#include "store/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::store;
using test::TempDir;

namespace {

Store open_store(const TempDir& dir) {
  auto store = Store::open(dir.path());
  REQUIRE(store.ok());
  return std::move(*store);
}

}  // namespace

TEST_CASE("a lock is held once, tells who holds it, and goes with its holder") {
  const TempDir dir;
  const Store store = open_store(dir);
  CHECK(Lock::holder(store, "setup").host.empty());
  {
    const auto lock = Lock::acquire(store, "setup", "setup", Milliseconds{0});
    REQUIRE(lock.ok());
    const Holder holder = Lock::holder(store, "setup");
    CHECK_FALSE(holder.host.empty());
    CHECK(holder.pid == ::getpid());
    CHECK(holder.purpose == "setup");
    CHECK(unix_now() - holder.since < 60'000);
    const auto second = Lock::acquire(store, "setup", "another", Milliseconds{0});
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().kind == ErrorKind::busy);
    CHECK(second.error().what.find("setup on host " + holder.host) != std::string::npos);
    CHECK_FALSE(second.error().remedy.empty());
    CHECK(Lock::acquire(store, "store", "capture", Milliseconds{0}).ok());
  }
  CHECK(Lock::holder(store, "setup").host.empty());
  CHECK(Lock::acquire(store, "setup", "another", Milliseconds{0}).ok());
}

TEST_CASE("a killed holder blocks nobody, a living one is waited for") {
  const TempDir dir;
  const Store store = open_store(dir);
  int ready[2];
  REQUIRE(::pipe2(ready, O_CLOEXEC) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto lock = Lock::acquire(store, "store", "child", Milliseconds{0});
    [[maybe_unused]] const ssize_t told = ::write(ready[1], lock ? "y" : "n", 1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  CHECK(Lock::holder(store, "store").pid == child);
  CHECK_FALSE(Lock::acquire(store, "store", "parent", Milliseconds{0}).ok());
  REQUIRE(::kill(child, SIGKILL) == 0);
  CHECK(Lock::acquire(store, "store", "parent", Milliseconds{10'000}).ok());
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("what a holder wrote is shown without its escapes, and garbage is survived") {
  const TempDir dir;
  const Store store = open_store(dir);
  const auto lock = Lock::acquire(store, "setup", "x", Milliseconds{0});
  REQUIRE(lock.ok());
  dir.file(".claude-init/locks/setup", "ho\x1b[31mst\nnot a number\n");
  const Holder holder = Lock::holder(store, "setup");
  CHECK(holder.pid == 0);
  CHECK(holder.describe(unix_now()).find('\x1b') == std::string::npos);
  dir.file(".claude-init/locks/setup", std::string(10'000, 'x'));
  CHECK(Lock::holder(store, "setup").host == "unknown");
}

TEST_CASE("a lock that is a planted link is refused") {
  const TempDir dir;
  dir.file("victim", "kept");
  dir.dir(".claude-init");
  dir.dir(".claude-init/locks");
  dir.link(".claude-init/locks/store", "../../victim");
  CHECK_FALSE(Lock::acquire(open_store(dir), "store", "x", Milliseconds{0}).ok());
  dir.file(".claude-init/locks/inside", "kept");
  dir.link(".claude-init/locks/setup", "inside");
  CHECK_FALSE(Lock::acquire(open_store(dir), "setup", "x", Milliseconds{0}).ok());
  CHECK(dir.read("victim") == "kept");
  CHECK(dir.read(".claude-init/locks/inside") == "kept");
}
