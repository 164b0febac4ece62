#include "loop/file_watch.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>

#include "loop.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::loop;
using test::run_for;
using test::run_until;
using test::TempDir;

namespace {

class WatchedFile {
 public:
  explicit WatchedFile(const std::string& directory, bool only_here = true)
      : inotify_(io_),
        watch_(
            io_, inotify_,
            {directory, "login", fs::current_identity(), only_here, Milliseconds(30), [this] { ++told_; }}) {
    watch_.start();
  }
  /// Whether it tells after what has been done, well before it would look by itself.
  bool tells() {
    const int before = told_;
    const bool told = run_until(
        io_, [&] { return told_ > before; }, Milliseconds(5000));
    run_for(io_, Milliseconds(100));  // the rest of the same
    return told;
  }
  bool is_quiet() {
    const int before = told_;
    run_for(io_, Milliseconds(1000));
    return told_ == before;
  }
  [[nodiscard]] bool polls() const { return watch_.polls(); }

 private:
  boost::asio::io_context io_{1};
  Inotify inotify_;
  int told_ = 0;
  FileWatch watch_;
};

void move(const TempDir& dir, const std::string& from, const std::string& to) {
  REQUIRE(std::rename(dir.path(from).c_str(), dir.path(to).c_str()) == 0);
}

}  // namespace

TEST_CASE("a file is told when it is made, replaced, written in place or removed, and nothing else is") {
  const TempDir dir;
  dir.dir("store");
  WatchedFile watched(dir.path("store"));
  CHECK_FALSE(watched.polls());
  dir.file("store/login", "1");
  CHECK(watched.tells());
  dir.file("store/new", "2");
  CHECK(watched.is_quiet());
  move(dir, "store/new", "store/login");
  CHECK(watched.tells());
  dir.file("store/login", "3");
  CHECK(watched.tells());
  REQUIRE(::chmod(dir.path("store/login").c_str(), 0600) == 0);
  CHECK(watched.tells());
  ::unlink(dir.path("store/login").c_str());
  CHECK(watched.tells());
  dir.file("other", "");
  CHECK(watched.is_quiet());
}

TEST_CASE("a directory that is moved away and made again is watched again") {
  const TempDir dir;
  dir.dir("store");
  WatchedFile watched(dir.path("store"));
  move(dir, "store", "old");
  CHECK(watched.tells());
  CHECK_FALSE(watched.polls());
  dir.dir("store");
  CHECK(watched.tells());
  dir.file("store/login", "1");
  CHECK(watched.tells());
  dir.file("old/login", "1");
  CHECK(watched.is_quiet());
}

TEST_CASE("a volume that is swapped by its ..data link is told, and so is a link at the directory itself") {
  const TempDir dir;
  dir.dir("volume");
  dir.dir("volume/..one");
  dir.dir("volume/..two");
  dir.file("volume/..one/login", "1");
  dir.file("volume/..two/login", "2");
  dir.link("volume/..data", "..one");
  dir.link("volume/login", "..data/login");
  dir.link("store", "volume");
  WatchedFile watched(dir.path("store"));
  CHECK_FALSE(watched.polls());
  dir.link("volume/..data_tmp", "..two");
  move(dir, "volume/..data_tmp", "volume/..data");
  CHECK(watched.tells());
  dir.file("volume/..one/login", "");
  CHECK(watched.is_quiet());
  dir.file("volume/..two/login", "3");
  CHECK(watched.tells());
  dir.dir("other");
  dir.link("next", dir.path("other"));
  move(dir, "next", "store");
  CHECK(watched.tells());
  dir.file("other/login", "4");
  CHECK(watched.tells());
}

TEST_CASE("a file system that is mounted over it is told") {
  const TempDir dir;
  dir.dir("store");
  WatchedFile watched(dir.path("store"));
  {
    const test::Mounted mounted(dir.path("store"), "size=64k");
    if (!mounted.ok()) return;
    CHECK(watched.tells());
    dir.file("store/login", "1");
    CHECK(watched.tells());
  }
  CHECK(watched.tells());
}

TEST_CASE("a file system that is mounted elsewhere is not told, a file that is mounted over it is") {
  const TempDir dir;
  dir.dir("store");
  dir.dir("elsewhere");
  dir.file("store/login", "1");
  dir.file("other", "2");
  WatchedFile watched(dir.path("store"));
  {
    const test::Mounted mounted(dir.path("elsewhere"), "size=64k");
    if (!mounted.ok()) return;
    CHECK(watched.is_quiet());
  }
  CHECK(watched.is_quiet());
  {
    const test::Mounted mounted(dir.path("other"), dir.path("store/login"));
    CHECK(watched.tells());
  }
  CHECK(watched.tells());
}

TEST_CASE("several watches are told of a mount by one descriptor") {
  const TempDir dir;
  dir.dir("a");
  dir.dir("b");
  boost::asio::io_context io{1};
  Inotify inotify(io);
  std::string told;
  const auto options = [&](const char* name) {
    return FileWatch::Options{dir.path(name), "login",          fs::current_identity(),
                              true,           Milliseconds(30), [&told, name] { told += name; }};
  };
  FileWatch a(io, inotify, options("a"));
  std::optional<FileWatch> b;
  b.emplace(io, inotify, options("b"));
  a.start();
  b->start();
  int mountinfos = 0;
  for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    mountinfos += std::filesystem::read_symlink(each, gone).string().ends_with("/mountinfo") ? 1 : 0;
  }
  CHECK(mountinfos == 1);
  const test::Mounted over_b(dir.path("b"), "size=64k");
  if (!over_b.ok()) return;
  CHECK(run_until(
      io, [&] { return told.ends_with('b'); }, Milliseconds(5000)));
  b.reset();
  const test::Mounted over_a(dir.path("a"), "size=64k");
  if (!over_a.ok()) return;
  CHECK(run_until(
      io, [&] { return told.ends_with('a'); }, Milliseconds(5000)));
}

TEST_CASE("without its directory it looks again and again, until there is one to watch") {
  const TempDir dir;
  WatchedFile watched(dir.path("missing/store"));
  CHECK(watched.polls());
  CHECK(watched.tells());
  dir.dir("missing");
  CHECK(watched.tells());
  CHECK_FALSE(watched.polls());
  dir.dir("missing/store");
  CHECK(watched.tells());
  dir.file("missing/store/login", "1");
  CHECK(watched.tells());
}

TEST_CASE("links that lead in a circle end, and are looked at again and again") {
  const TempDir dir;
  dir.link("store", "other");
  dir.link("other", "store");
  WatchedFile watched(dir.path("store"));
  CHECK(watched.polls());
}
