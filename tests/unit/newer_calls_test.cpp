#include "fs/newer_calls.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <thread>

#include "fs/identity.h"
#include "temp_dir.h"

using namespace claude_init;
using test::TempDir;

namespace {

/// In a thread that has its own; they end with it.
void with_mounts_of_its_own(const std::function<void()>& work) {
  std::thread([&] {
    if (::unshare(CLONE_FS | CLONE_NEWNS) != 0) return;
    if (::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) work();
  }).join();
}

}  // namespace

TEST_CASE("what the mode allows whom is the same with faccessat2 and without") {
  const auto access = GENERATE(&fs::access_by_rights, &fs::access_by_rights_by_hand);
  const TempDir dir;
  dir.file("f", "x");
  const std::string file = dir.path("f");
  CHECK(access(AT_FDCWD, dir.path("missing"), R_OK) == ENOENT);
  CHECK(access(AT_FDCWD, file, R_OK | W_OK) == 0);
  CHECK(access(AT_FDCWD, file, X_OK) == EACCES);
  if (::geteuid() != 0) return;
  REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
  REQUIRE(::chown(file.c_str(), 1234, 5678) == 0);
  REQUIRE(::chmod(file.c_str(), 0640) == 0);
  const auto as = [&](uid_t uid, gid_t gid, int how) {
    const fs::ActAs rights({uid, gid});
    return access(AT_FDCWD, file, how);
  };
  CHECK(as(0, 0, R_OK | W_OK) == 0);
  CHECK(as(1234, 1, R_OK | W_OK) == 0);
  CHECK(as(1234, 1, X_OK) == EACCES);
  CHECK(as(1, 5678, R_OK) == 0);
  CHECK(as(1, 5678, W_OK) == EACCES);
  CHECK(as(1, 1, R_OK) == EACCES);
  // The owner's bits count for the owner, though others may more.
  REQUIRE(::chmod(file.c_str(), 0077) == 0);
  CHECK(as(1234, 5678, R_OK) == EACCES);
  CHECK(as(1, 1, R_OK | W_OK | X_OK) == 0);
}

TEST_CASE("nobody may write where a file system is read-only, with faccessat2 and without") {
  const auto access = GENERATE(&fs::access_by_rights, &fs::access_by_rights_by_hand);
  if (::geteuid() != 0) return;
  int found = 0;
  with_mounts_of_its_own([&] {
    const TempDir dir;
    if (::mount("none", dir.path().c_str(), "tmpfs", MS_RDONLY, "mode=777") != 0) return;
    const fs::ActAs rights({1234, 1234});
    found = access(AT_FDCWD, dir.path(), W_OK);
  });
  CHECK(found == EROFS);
}

TEST_CASE("a mount is known, of another file system and of the same") {
  const auto is_mount = GENERATE(&fs::is_mount_root, &fs::is_mount_root_by_hand);
  const UniqueFd root(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK(is_mount(root.get(), "proc"));
  CHECK(!is_mount(root.get(), "missing"));
  if (::geteuid() != 0) return;
  bool before = true;
  bool after = false;
  with_mounts_of_its_own([&] {
    const TempDir dir;
    dir.dir("d");
    before = is_mount(dir.fd(), "d");
    if (::mount(dir.path("d").c_str(), dir.path("d").c_str(), nullptr, MS_BIND, nullptr) != 0) return;
    after = is_mount(dir.fd(), "d");
  });
  CHECK(!before);
  CHECK(after);
}

TEST_CASE("a file is known again by its birth") {
  const TempDir dir;
  dir.file("a", "x");
  dir.file("b", "x");
  const UniqueFd a(::open(dir.path("a").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd b(::open(dir.path("b").c_str(), O_RDONLY | O_CLOEXEC));
  const auto of_a = fs::birth_of(a.get());
  const auto of_b = fs::birth_of(b.get());
  REQUIRE((of_a.ok() && of_b.ok()));
  CHECK(of_a->inode != of_b->inode);
  CHECK(!fs::birth_of(-1).ok());
}

TEST_CASE("a file without a name keeps what is written to it") {
  const UniqueFd fd = GENERATE(0, 1) == 0 ? fs::nameless_file("test") : fs::nameless_file_by_hand();
  REQUIRE(fd.valid());
  REQUIRE(::pwrite(fd.get(), "text", 4, 0) == 4);
  struct stat st {};
  REQUIRE(::fstat(fd.get(), &st) == 0);
  CHECK(st.st_nlink == 0);
  CHECK(st.st_size == 4);
  CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
}
