#include "lock/lock_method.h"

#include <catch2/catch.hpp>

#include "lock/lock.h"
#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::lock;
using test::TempDir;

namespace {

constexpr const char* kMethod = ".claude-init/locks/method";

Store open_as(const TempDir& dir, Locking locking) {
  StoreOptions options;
  options.locking = locking;
  auto store = Store::open(dir.path(), options);
  REQUIRE(store.ok());
  return std::move(*store);
}

}  // namespace

TEST_CASE("how a store is locked is decided once, written down, and the same for everybody") {
  const TempDir dir;
  CHECK(find_locks(test::open_store(dir.path())).error().number == ENOENT);
  CHECK(open_locks(open_as(dir, Locking::lease))->method == Locking::lease);
  CHECK(dir.read(kMethod) == "lease\n");
  CHECK(open_locks(test::open_store(dir.path()))->method == Locking::lease);
  CHECK(find_locks(test::open_store(dir.path()))->method == Locking::lease);
}

TEST_CASE("a local file system is locked by flock") {
  const TempDir dir;
  CHECK(open_locks(test::open_store(dir.path()))->method == Locking::flock);
  CHECK(dir.read(kMethod) == "flock\n");
}

TEST_CASE("another method than the store has is refused, with what to do") {
  const TempDir dir;
  REQUIRE(open_locks(test::open_store(dir.path())).ok());
  const auto refused = open_locks(open_as(dir, Locking::lease));
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::usage);
  CHECK(refused.error().remedy.find("--adopt --locking=lease") != std::string::npos);
  CHECK(decide_locking_again(open_as(dir, Locking::lease)).ok());
  CHECK(open_locks(test::open_store(dir.path()))->method == Locking::lease);
}

TEST_CASE("a damaged record is told, and once it is taken away it is written anew") {
  const TempDir dir;
  const Store store = test::open_store(dir.path());
  REQUIRE(open_locks(store).ok());
  dir.file(kMethod, "magic\n");
  const auto damaged = open_locks(store);
  REQUIRE_FALSE(damaged.ok());
  CHECK(damaged.error().kind == ErrorKind::invalid);
  CHECK_FALSE(damaged.error().remedy.empty());
  dir.file(".claude-init/locks/store", "");
  REQUIRE(::unlink(dir.path(kMethod).c_str()) == 0);
  CHECK(open_locks(store)->method == Locking::flock);
  CHECK(dir.read(kMethod) == "flock\n");
}
