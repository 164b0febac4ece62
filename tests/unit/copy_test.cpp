#include "fs/copy.h"

#include <fcntl.h>

#include <catch2/catch.hpp>

#include "temp_dir.h"

using namespace claude_init;
using End = fs::Copied::End;
using test::TempDir;

namespace {

struct Ends {
  UniqueFd from;
  UniqueFd to;
  struct stat st {};
};

Ends open_ends(const TempDir& dir) {
  Ends ends;
  ends.from.reset(::open(dir.path("from").c_str(), O_RDONLY | O_CLOEXEC));
  ends.to.reset(::open(dir.path("to").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  ::fstat(ends.from.get(), &ends.st);
  return ends;
}

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26 + i / 4096 % 3);
  return text;
}

}  // namespace

TEST_CASE("files of every size are copied byte for byte") {
  const TempDir dir;
  fs::Copier copier;
  for (const std::size_t size : {0, 1, 4096, 128 << 10, (128 << 10) + 1, (9 << 20) + 3}) {
    INFO(size);
    dir.file("from", pattern(size));
    const Ends ends = open_ends(dir);
    const auto copied = copier.copy(ends.from.get(), ends.to.get(), ends.st, SteadyTime::max());
    REQUIRE(copied.ok());
    CHECK(copied->end == End::complete);
    CHECK(copied->bytes == size);
    CHECK((dir.read("to") == dir.read("from")));
  }
}

TEST_CASE("a large file that is written out as it is copied is the same") {
  const TempDir dir;
  dir.file("from", pattern((70 << 20) + 3));
  const Ends ends = open_ends(dir);
  const auto copied = fs::Copier(fs::Copier::Writes::as_it_goes)
                          .copy(ends.from.get(), ends.to.get(), ends.st, SteadyTime::max());
  REQUIRE(copied.ok());
  CHECK(copied->end == End::complete);
  CHECK((dir.read("to") == dir.read("from")));
}

TEST_CASE("a file that grows while it is copied ends where it ended when it was opened") {
  const TempDir dir;
  const std::size_t size = GENERATE(1000, 1 << 20);
  dir.file("from", pattern(size));
  const Ends ends = open_ends(dir);
  dir.file("from", pattern(3 * size));
  REQUIRE(fs::Copier().copy(ends.from.get(), ends.to.get(), ends.st, SteadyTime::max()).ok());
  CHECK(dir.stat("to").st_size == static_cast<off_t>(size));
}

TEST_CASE("a file that shrinks while it is copied is copied as far as it goes") {
  const TempDir dir;
  const std::size_t size = GENERATE(1000, 1 << 20);
  dir.file("from", pattern(size));
  const Ends ends = open_ends(dir);
  REQUIRE(::truncate(dir.path("from").c_str(), 10) == 0);
  const auto copied = fs::Copier().copy(ends.from.get(), ends.to.get(), ends.st, SteadyTime::max());
  REQUIRE(copied.ok());
  CHECK(copied->bytes == 10);
}

TEST_CASE("holes stay holes") {
  const TempDir dir;
  dir.file("from", "begin");
  const off_t size = off_t{100} << 30;
  {
    const UniqueFd fd(::open(dir.path("from").c_str(), O_WRONLY | O_CLOEXEC));
    REQUIRE(::ftruncate(fd.get(), size) == 0);
    REQUIRE(::pwrite(fd.get(), "middle", 6, off_t{50} << 30) == 6);
  }
  const Ends ends = open_ends(dir);
  const auto copied = fs::Copier().copy(ends.from.get(), ends.to.get(), ends.st, SteadyTime::max());
  REQUIRE(copied.ok());
  CHECK(copied->end == End::complete);
  CHECK(dir.stat("to").st_size == size);
  CHECK(dir.stat("to").st_blocks * 512 < 1 << 20);
  const UniqueFd back(::open(dir.path("to").c_str(), O_RDONLY | O_CLOEXEC));
  char text[6];
  REQUIRE(::pread(back.get(), text, 6, off_t{50} << 30) == 6);
  CHECK(std::string(text, 6) == "middle");
  REQUIRE(::pread(back.get(), text, 5, 0) == 5);
  CHECK(std::string(text, 5) == "begin");
}

TEST_CASE("a copy stops at its deadline and says so") {
  const TempDir dir;
  dir.file("from", pattern(1 << 20));
  const Ends ends = open_ends(dir);
  const auto copied =
      fs::Copier().copy(ends.from.get(), ends.to.get(), ends.st, std::chrono::steady_clock::now());
  REQUIRE(copied.ok());
  // A file system that shares blocks is done before it looks at the clock.
  CHECK((copied->end == End::out_of_time || dir.read("to") == dir.read("from")));
}

TEST_CASE("a failed read is the source's affair, a failed write is an error") {
  const TempDir dir;
  dir.file("from", pattern(1000));
  const Ends ends = open_ends(dir);
  const UniqueFd write_only(::open(dir.path("from").c_str(), O_WRONLY | O_CLOEXEC));
  const auto unreadable = fs::Copier().copy(write_only.get(), ends.to.get(), ends.st, SteadyTime::max());
  REQUIRE(unreadable.ok());
  CHECK(unreadable->end == End::unreadable);
  CHECK(unreadable->read_error == EBADF);
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto failed = fs::Copier().copy(ends.from.get(), full.get(), ends.st, SteadyTime::max());
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().kind == ErrorKind::no_space);
}

TEST_CASE("a file is edited before any of it is written") {
  const TempDir dir;
  const std::size_t size = GENERATE(0, 1, 4096, 128 << 10);
  dir.file("from", pattern(size));
  const Ends ends = open_ends(dir);
  const auto copied =
      fs::Copier().copy_edited(ends.from.get(), ends.to.get(), ends.st,
                               [](char* data, std::size_t n) { std::fill(data, data + n, 'x'); });
  REQUIRE(copied.ok());
  CHECK(copied->end == End::complete);
  CHECK(copied->bytes == size);
  CHECK((dir.read("to") == std::string(size, 'x')));
}

TEST_CASE("what is edited ends where it ended when it was opened, or where it ends now") {
  const TempDir dir;
  const std::size_t size = GENERATE(10, 3000);
  dir.file("from", pattern(1000));
  const Ends ends = open_ends(dir);
  dir.file("from", pattern(size));
  const auto copied =
      fs::Copier().copy_edited(ends.from.get(), ends.to.get(), ends.st, [](char*, std::size_t) {});
  REQUIRE(copied.ok());
  CHECK((dir.read("to") == pattern(std::min<std::size_t>(size, 1000))));
}

TEST_CASE("of what is edited too a failed read is the source's affair, a failed write is an error") {
  const TempDir dir;
  dir.file("from", pattern(1000));
  const Ends ends = open_ends(dir);
  const auto edit = [](char*, std::size_t) {};
  const UniqueFd write_only(::open(dir.path("from").c_str(), O_WRONLY | O_CLOEXEC));
  const auto unreadable = fs::Copier().copy_edited(write_only.get(), ends.to.get(), ends.st, edit);
  REQUIRE(unreadable.ok());
  CHECK(unreadable->end == End::unreadable);
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto failed = fs::Copier().copy_edited(ends.from.get(), full.get(), ends.st, edit);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().kind == ErrorKind::no_space);
}
