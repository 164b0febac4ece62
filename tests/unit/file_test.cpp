#include "fs/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "temp_dir.h"

using namespace claude_init;
using test::TempDir;

TEST_CASE("a file is read up to its limit and not beyond") {
  const TempDir dir;
  dir.file("f", std::string(1000, 'x'));
  const auto read = [&](std::size_t limit) {
    const UniqueFd fd(::open(dir.path("f").c_str(), O_RDONLY | O_CLOEXEC));
    return fs::read_all(fd.get(), limit, "f");
  };
  CHECK(read(1000)->size() == 1000);
  CHECK(read(5000)->size() == 1000);
  REQUIRE_FALSE(read(999).ok());
  CHECK(read(999).error().kind == ErrorKind::limit);
}

TEST_CASE("a file that tells no size, and is longer than any guess, is read whole") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reading(ends[0]);
  {
    const UniqueFd writing(ends[1]);
    const std::string text(40'000, 'y');
    REQUIRE(::write(writing.get(), text.data(), text.size()) == 40'000);
  }
  const auto text = fs::read_all(reading.get(), 100'000, "pipe");
  REQUIRE(text.ok());
  CHECK(*text == std::string(40'000, 'y'));
}

TEST_CASE("a file is written with exactly its mode and never over or through anything") {
  const TempDir dir;
  const mode_t before = ::umask(0077);
  CHECK(fs::write_file(dir.fd(), "f", "text", 0640, fs::Sync::yes).ok());
  ::umask(before);
  CHECK(dir.read("f") == "text");
  CHECK(dir.mode("f") == 0640);
  const auto again = fs::write_file(dir.fd(), "f", "other", 0600, fs::Sync::no);
  REQUIRE_FALSE(again.ok());
  CHECK(again.error().number == EEXIST);
  dir.link("link", "planted");
  CHECK_FALSE(fs::write_file(dir.fd(), "link", "other", 0600, fs::Sync::no).ok());
  CHECK_FALSE(dir.exists("planted"));
  CHECK(dir.read("f") == "text");
}

TEST_CASE("what cannot be written completely is removed again") {
  const TempDir dir;
  const rlimit before = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    return limit;
  }();
  const rlimit small{1000, before.rlim_max};
  ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto written = fs::write_file(dir.fd(), "f", std::string(2000, 'x'), 0600, fs::Sync::no);
  const auto replaced = fs::replace_file(dir.fd(), "g", std::string(2000, 'x'), 0600, fs::Sync::no);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().kind == ErrorKind::limit);
  CHECK_FALSE(replaced.ok());
  CHECK(::rmdir(dir.path().c_str()) == 0);  // nothing was left in it
  REQUIRE(::mkdir(dir.path().c_str(), 0700) == 0);
}

TEST_CASE("a file is replaced whole, and a link in its place is not followed") {
  const TempDir dir;
  dir.file("target", "untouched");
  dir.link("f", "target");
  CHECK(fs::replace_file(dir.fd(), "f", "new", 0600, fs::Sync::yes).ok());
  CHECK(dir.read("f") == "new");
  CHECK(dir.read("target") == "untouched");
  CHECK(dir.mode("f") == 0600);
  dir.dir("directory");
  dir.file("directory/x", "");
  CHECK_FALSE(fs::replace_file(dir.fd(), "directory", "new", 0600, fs::Sync::no).ok());
}
