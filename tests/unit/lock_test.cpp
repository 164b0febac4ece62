#include "lock/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::lock;
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
  {
    const auto lock = Lock::acquire(store, "setup", "setup", Milliseconds{0});
    REQUIRE(lock.ok());
    const auto second = Lock::acquire(store, "setup", "another", Milliseconds{0});
    REQUIRE_FALSE(second.ok());
    CHECK(second.error().kind == ErrorKind::busy);
    CHECK(second.error().what.find("setup on host ") != std::string::npos);
    CHECK(second.error().what.find(" (pid " + std::to_string(::getpid()) + ", for ") != std::string::npos);
    CHECK_FALSE(second.error().remedy.empty());
    CHECK(Lock::acquire(store, "store", "capture", Milliseconds{0}).ok());
  }
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
  const auto refused = Lock::acquire(store, "store", "parent", Milliseconds{0});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().what.find("pid " + std::to_string(child)) != std::string::npos);
  REQUIRE(::kill(child, SIGKILL) == 0);
  CHECK(Lock::acquire(store, "store", "parent", Milliseconds{10'000}).ok());
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("what stands in a lock's file is not believed where the kernel names another holder") {
  const TempDir dir;
  const Store store = open_store(dir);
  const auto lock = Lock::acquire(store, "setup", "x", Milliseconds{0});
  REQUIRE(lock.ok());
  const std::string ours = "(pid " + std::to_string(::getpid()) + ", uid ";
  for (const std::string& claim :
       {std::string("innocent\n1\nkeep\n1\n"), std::string("ho\x1b[31mst\nno number\n"),
        std::string(10'000, 'x'), std::string()}) {
    dir.file(".claude-init/locks/setup", claim);
    const auto refused = Lock::acquire(store, "setup", "another", Milliseconds{0});
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().what.find(ours) != std::string::npos);
    CHECK(refused.error().what.find("innocent") == std::string::npos);
  }
}

TEST_CASE("a deadline ends a wait, which is else as long as it was to be") {
  const TempDir dir;
  const Store store = open_store(dir);
  const auto lock = Lock::acquire(store, "store", "x", Milliseconds{0});
  REQUIRE(lock.ok());
  int asked = 0;
  const Deadline deadline([&] { return ++asked == 3; });
  CHECK_FALSE(Lock::acquire(store, "store", "another", Milliseconds{3'600'000}, deadline).ok());
  CHECK(asked == 3);
}

TEST_CASE("locks are their owner's only, whatever the store's modes are and were") {
  const TempDir dir;
  REQUIRE(::chmod(dir.path().c_str(), 02750) == 0);
  dir.dir(".claude-init", 02750);
  dir.dir(".claude-init/locks", 02750);
  dir.file(".claude-init/locks/method", "flock\n", 0640);
  const auto lock = Lock::acquire(open_store(dir), "store", "x", Milliseconds{0});
  REQUIRE(lock.ok());
  CHECK(dir.mode(".claude-init/locks") == 0700);
  CHECK(dir.mode(".claude-init/locks/store") == 0600);
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
