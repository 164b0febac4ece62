#include "loop/inotify.h"

#include <sys/inotify.h>

#include <catch2/catch.hpp>

#include "loop.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::loop;
using test::run_for;
using test::run_until;
using test::TempDir;

namespace {

struct Ears : Inotify::Listener {
  void on_event(const Inotify::Event& event) override { heard.emplace_back(event.name); }
  std::vector<std::string> heard;
};

}  // namespace

TEST_CASE("listeners share one watch of a directory, each with its own mask") {
  boost::asio::io_context io(1);
  Inotify inotify(io);
  const TempDir dir;
  Ears creations;
  Ears deletions;
  const auto one = inotify.add(dir.path(), IN_CREATE, creations);
  const auto other = inotify.add(dir.path(), IN_DELETE, deletions);
  REQUIRE(one.ok());
  REQUIRE(other.ok());
  CHECK(*one == *other);
  dir.file("x", "");
  ::unlink(dir.path("x").c_str());
  REQUIRE(run_until(io, [&] { return !creations.heard.empty() && !deletions.heard.empty(); }));
  CHECK(creations.heard == std::vector<std::string>{"x"});
  CHECK(deletions.heard == std::vector<std::string>{"x"});
}

TEST_CASE("who has removed its watch hears nothing, the other still does") {
  boost::asio::io_context io(1);
  Inotify inotify(io);
  const TempDir dir;
  Ears gone;
  Ears stays;
  const auto watch = inotify.add(dir.path(), IN_CREATE, gone);
  REQUIRE(watch.ok());
  REQUIRE(inotify.add(dir.path(), IN_CREATE, stays).ok());
  inotify.remove(*watch, gone);
  dir.file("x", "");
  REQUIRE(run_until(io, [&] { return !stays.heard.empty(); }));
  CHECK(gone.heard.empty());
  inotify.forget(stays);
  dir.file("y", "");
  run_for(io, Milliseconds(1));
  CHECK(stays.heard.size() == 1);
}

TEST_CASE("what cannot be watched says why") {
  boost::asio::io_context io(1);
  Inotify inotify(io);
  const TempDir dir;
  dir.file("file", "");
  Ears ears;
  CHECK(inotify.add(dir.path("missing"), IN_CREATE, ears).error().kind == ErrorKind::not_found);
  CHECK_FALSE(inotify.add(dir.path("file"), IN_CREATE, ears).ok());
}
