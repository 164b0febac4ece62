#include "fs/identity.h"

#include <grp.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "temp_dir.h"

using namespace claude_init;
using test::TempDir;

TEST_CASE("acting as oneself changes nothing and is effective") {
  const fs::ActAs as(fs::current_identity());
  CHECK(as.effective());
}

TEST_CASE(
    "acting as another user forgets neither what tells of our parent's death nor that nobody dumps us") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const auto death_signal = [] {
    int number = 0;
    ::prctl(PR_GET_PDEATHSIG, &number);
    return number;
  };
  const int dumpable = ::prctl(PR_GET_DUMPABLE);
  REQUIRE(::prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0);
  {
    const fs::ActAs as({12345, 12345});
    CHECK(death_signal() == SIGUSR2);
    CHECK(::prctl(PR_GET_DUMPABLE) == 0);
  }
  CHECK(death_signal() == SIGUSR2);
  CHECK(::prctl(PR_GET_DUMPABLE) == 0);
  ::prctl(PR_SET_PDEATHSIG, 0);
  ::prctl(PR_SET_DUMPABLE, dumpable);
}

TEST_CASE("acting as another user makes files theirs, opens nothing of root's, and ends with the guard") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir dir;
  dir.file("root-only", "FAKE", 0600);
  dir.file("of-our-group", "FAKE", 0040);
  REQUIRE(::chown(dir.path("of-our-group").c_str(), 4321, 5432) == 0);
  REQUIRE(::chown(dir.path().c_str(), 1234, 1235) == 0);
  std::vector<gid_t> before(static_cast<std::size_t>(::getgroups(0, nullptr)));
  REQUIRE(::getgroups(static_cast<int>(before.size()), before.data()) >= 0);
  const gid_t group = 5432;
  REQUIRE(::setgroups(1, &group) == 0);
  {
    const fs::ActAs as({1234, 1235});
    CHECK(as.effective());
    dir.file("made", "x");
    const UniqueFd denied(::open(dir.path("root-only").c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_FALSE(denied.valid());
    const UniqueFd by_group(::open(dir.path("of-our-group").c_str(), O_RDONLY | O_CLOEXEC));
    CHECK_FALSE(by_group.valid());
    {
      const fs::ActAs nested({77, 78});
      CHECK(nested.effective());
      CHECK(::setfsuid(static_cast<uid_t>(-1)) == 77);
    }
    CHECK(::setfsuid(static_cast<uid_t>(-1)) == 1234);
    CHECK(::getgroups(0, nullptr) == 0);
  }
  CHECK(::setfsuid(static_cast<uid_t>(-1)) == 0);
  gid_t after = 0;
  CHECK(::getgroups(1, &after) == 1);
  CHECK(after == group);
  REQUIRE(::setgroups(before.size(), before.data()) == 0);
  CHECK(dir.stat("made").st_uid == 1234);
  CHECK(dir.stat("made").st_gid == 1235);
  const UniqueFd allowed(::open(dir.path("root-only").c_str(), O_RDONLY | O_CLOEXEC));
  CHECK(allowed.valid());
}
