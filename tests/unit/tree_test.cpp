#include "fs/tree.h"

#include <sys/resource.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "fs/identity.h"
#include "temp_dir.h"

using namespace claude_init;
using test::TempDir;

TEST_CASE("a directory is listed with names of any bytes, up to a limit, and counted") {
  const TempDir dir;
  dir.file("b", "12");
  dir.file("a\n\xff", "1");
  dir.link("c", "nowhere");
  auto entries = fs::list_directory(dir.fd(), 3);
  REQUIRE(entries.ok());
  REQUIRE(entries->size() == 3);
  std::sort(entries->begin(), entries->end(),
            [](const fs::Entry& a, const fs::Entry& b) { return a.name < b.name; });
  CHECK((*entries)[0].name == "a\n\xff");
  CHECK((*entries)[1].st.st_size == 2);
  CHECK(S_ISLNK((*entries)[2].st.st_mode));
  const auto again = fs::list_directory(dir.fd(), 100);
  CHECK(again->size() == 3);  // the position is nobody's
  CHECK(*fs::count_names(dir.fd()) == 3);
  const auto many = fs::list_directory(dir.fd(), 2);
  REQUIRE_FALSE(many.ok());
  CHECK(many.error().kind == ErrorKind::limit);
}

TEST_CASE("a tree is removed with what is in it and nothing that it points to") {
  const TempDir dir;
  dir.dir("outside");
  dir.file("outside/kept", "x");
  dir.dir("t");
  dir.dir("t/a");
  dir.link("t/a/out", "../../outside");
  dir.fifo("t/a/fifo");
  dir.file("t/f", "x");
  CHECK(fs::remove_tree(dir.fd(), "t").ok());
  CHECK_FALSE(dir.exists("t"));
  CHECK(dir.exists("outside/kept"));
  dir.link("l", "outside");
  CHECK(fs::remove_tree(dir.fd(), "l").ok());
  CHECK_FALSE(dir.exists("l"));
  CHECK(dir.exists("outside/kept"));
  CHECK(fs::remove_tree(dir.fd(), "missing").ok());
}

TEST_CASE("removing many files ends soon after its deadline, and can be gone on with") {
  const TempDir dir;
  constexpr int kFiles = 2000;
  const auto fill = [&] {
    dir.dir("t");
    dir.dir("t/many");
    for (int i = 0; i < kFiles; ++i) dir.file("t/many/" + std::to_string(i), "");
  };
  // It is asked while names are read, and then while files are removed.
  int in_all = 0;
  fill();
  REQUIRE(fs::remove_tree(dir.fd(), "t", Deadline([&] { return ++in_all < 0; })).ok());
  fill();
  int asked = 0;
  const auto removed = fs::remove_tree(dir.fd(), "t", Deadline([&] { return ++asked > in_all - 10; }));
  REQUIRE_FALSE(removed.ok());
  CHECK(removed.error().kind == ErrorKind::limit);
  const UniqueFd many(::open(dir.path("t/many").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::size_t left = *fs::count_names(many.get());
  CHECK(left > 0);
  CHECK(left < kFiles);
  CHECK(fs::remove_tree(dir.fd(), "t").ok());
  CHECK_FALSE(dir.exists("t"));
}

TEST_CASE("a tree deeper than there are descriptors is removed") {
  const TempDir dir;
  dir.dir("t");
  dir.dir("t/deep-0");
  dir.file("t/deep-0/in-the-way", "x");
  UniqueFd at(::open(dir.path("t").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(::mkdirat(at.get(), "d", 0700) == 0);
    at.reset(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    REQUIRE(at.valid());
  }
  at.reset();
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{200, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const auto removed = fs::remove_tree(dir.fd(), "t");
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(removed.ok());
  CHECK_FALSE(dir.exists("t"));
}

TEST_CASE("directories that their owner may not write are removed all the same") {
  const TempDir dir;
  dir.dir("t");
  dir.dir("t/ro");
  dir.file("t/ro/f", "x");
  REQUIRE(::chmod(dir.path("t/ro").c_str(), 0) == 0);
  if (!test::is_root()) {
    CHECK(fs::remove_tree(dir.fd(), "t").ok());
    return;
  }
  for (const char* name : {"", "t", "t/ro"}) REQUIRE(::chown(dir.path(name).c_str(), 1234, 1234) == 0);
  const fs::ActAs as({1234, 1234});
  CHECK(fs::remove_tree(dir.fd(), "t").ok());
  CHECK_FALSE(dir.exists("t"));
}

TEST_CASE("a deadline ends the reading of a large directory") {
  const TempDir dir;
  for (int i = 0; i < 5000; ++i) dir.file(std::to_string(i), "");
  CHECK(fs::list_directory(dir.fd(), 10'000)->size() == 5000);
  const auto late = fs::list_directory(dir.fd(), 10'000, Deadline([] { return true; }));
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().kind == ErrorKind::limit);
}
