#include "lock/lock_method.h"
#include "store/provenance.h"

#include <sys/mount.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "lock/adopt.h"
#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::lock;
using test::TempDir;

namespace {

/// A store under `name` that has been written to.
void make_store(const TempDir& dir, const std::string& name) {
  dir.dir(name);
  static_cast<void>(test::lock_store(test::open_store(dir.path(name))));
}

bool is_at_home(const std::string& path) {
  return check_identity(test::open_store(path)).ok();
}

void shell(const std::string& command, const std::string& from, const std::string& to) {
  REQUIRE(std::system((command + " " + from + " " + to).c_str()) == 0);
}

}  // namespace

TEST_CASE("the first lock names a store, and the name stays") {
  const TempDir dir;
  CHECK(is_at_home(dir.path()));
  CHECK(read_id(test::open_store(dir.path())).error().kind == ErrorKind::not_found);
  make_store(dir, "s");
  const auto id = read_id(test::open_store(dir.path("s")));
  REQUIRE(id.ok());
  CHECK(id->store.size() == 32);
  CHECK_FALSE(id->host.empty());
  static_cast<void>(test::lock_store(test::open_store(dir.path("s"))));
  CHECK(read_id(test::open_store(dir.path("s")))->store == id->store);
  CHECK(is_at_home(dir.path("s")));
}

TEST_CASE("a copy is noticed and explained until it is adopted") {
  const TempDir dir;
  make_store(dir, "s");
  shell("cp -a", dir.path("s"), dir.path("copy"));
  const auto noticed = check_identity(test::open_store(dir.path("copy")));
  REQUIRE_FALSE(noticed.ok());
  CHECK(noticed.error().what.find("is a copy") != std::string::npos);
  CHECK(noticed.error().remedy.find("--adopt") != std::string::npos);
  CHECK(is_at_home(dir.path("s")));

  const Store store = test::open_store(dir.path("copy"));
  const Lock lock = test::lock_store(store);
  REQUIRE(adopt(store, lock).ok());
  CHECK(is_at_home(dir.path("copy")));
  CHECK(read_id(store)->store != read_id(test::open_store(dir.path("s")))->store);
}

TEST_CASE("what is the same directory is the same store") {
  const TempDir dir;
  make_store(dir, "s");
  SECTION("renamed") {
    shell("mv", dir.path("s"), dir.path("moved"));
    CHECK(is_at_home(dir.path("moved")));
  }
  SECTION("with another owner and other modes, written to, with a longer history") {
    shell("chmod -R", "g+rX", dir.path("s"));
    if (test::is_root()) shell("chown -R", "1000:1000", dir.path("s"));
    dir.file("s/.credentials.json", "{}");
    dir.dir("s/projects");
    CHECK(is_at_home(dir.path("s")));
  }
  SECTION("mounted at another path") {
    dir.dir("mnt");
    if (::mount(dir.path("s").c_str(), dir.path("mnt").c_str(), nullptr, MS_BIND, nullptr) != 0) return;
    CHECK(is_at_home(dir.path("mnt")));
    ::umount2(dir.path("mnt").c_str(), MNT_DETACH);
  }
  SECTION("on a file system that makes up its inode numbers") {
    std::string text = dir.read("s/.claude-init/id");
    const std::size_t at = text.find("\ninode ") + 7;
    text.replace(at, text.find('\n', at) - at, "4711");
    dir.file("s/.claude-init/id", text);
    CHECK(is_at_home(dir.path("s")));
    // And with neither of the two: a copy.
    dir.file("s/.claude-init/locks/method", "flock\n");
    CHECK_FALSE(is_at_home(dir.path("s")));
  }
}

TEST_CASE("a damaged identity is told, and --adopt mends it") {
  const TempDir dir;
  make_store(dir, "s");
  dir.file("s/.claude-init/id", "store\n\nxyz");
  const Store store = test::open_store(dir.path("s"));
  const auto damaged = check_identity(store);
  REQUIRE_FALSE(damaged.ok());
  CHECK(damaged.error().kind == ErrorKind::invalid);
  CHECK(damaged.error().remedy.find("--adopt") != std::string::npos);
  const Lock lock = test::lock_store(store);
  REQUIRE(adopt(store, lock).ok());
  CHECK(is_at_home(dir.path("s")));
}

TEST_CASE("adopting changes how a store is locked where that was asked for") {
  const TempDir dir;
  make_store(dir, "s");
  StoreOptions options;
  options.locking = Locking::lease;
  options.adopt = true;
  const auto store = Store::open(dir.path("s"), options);
  const Lock lock = test::lock_store(*store);
  REQUIRE(adopt(*store, lock).ok());
  CHECK(open_locks(test::open_store(dir.path("s")))->method == Locking::lease);
  CHECK(is_at_home(dir.path("s")));
}
