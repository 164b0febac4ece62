#include "lock/lock_holder.h"

#include <sys/sysmacros.h>

#include <catch2/catch.hpp>
#include <limits>

using namespace claude_init;
using namespace claude_init::lock;

TEST_CASE("the holders of a flock are found among all locks by device and inode") {
  struct stat file {};
  file.st_dev = ::makedev(8, 17);
  file.st_ino = 5678;
  constexpr std::string_view kLocks =
      "1: POSIX  ADVISORY  WRITE 11 08:11:5678 0 EOF\n"
      "2: FLOCK  ADVISORY  WRITE 12 08:11:5678 0 EOF\n"
      "2: -> FLOCK  ADVISORY  WRITE 13 08:11:5678 0 EOF\n"
      "3: FLOCK  ADVISORY  READ  14 08:11:5678 0 EOF\n"
      "4: FLOCK  ADVISORY  WRITE 15 08:12:5678 0 EOF\n"
      "5: FLOCK  ADVISORY  WRITE 16 08:11:15678 0 EOF\n"
      "6: LEASE  ACTIVE    WRITE 17 08:11:5678 0 EOF\n"
      "7: FLOCK\n\n8: FLOCK ADVISORY WRITE x 08:11:5678";
  CHECK(lock_holders(kLocks, "FLOCK", file) == std::vector<pid_t>{12, 14});
  file.st_dev = ::makedev(0, 99);  // as btrfs, whose stat(2) tells another device
  CHECK(lock_holders(kLocks, "FLOCK", file) == std::vector<pid_t>{12, 14, 15});
  CHECK(lock_holders(kLocks, "LEASE", file) == std::vector<pid_t>{17});
  file.st_ino = 1;
  CHECK(lock_holders(kLocks, "FLOCK", file).empty());
}

TEST_CASE("what a holder says of itself may be anything") {
  const Holder holder = parse_holder("host\n7\nsetup\n1000\n");
  CHECK(holder.describe(3'000) == "setup on host host (pid 7, for 2 s)");
  CHECK(parse_holder("").host == "unknown");
  Holder odd = parse_holder("\x1b[2J\n99999999999999999999\n\n-9223372036854775808\n");
  CHECK(odd.pid == 0);
  CHECK(odd.describe(std::numeric_limits<UnixMs>::max()).find('\x1b') == std::string::npos);
  CHECK(parse_holder(write_holder("run")).purpose == "run");
}
