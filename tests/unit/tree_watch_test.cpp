#include "follow/tree_watch.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <optional>

#include "loop.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::follow;
using namespace claude_init::loop;
using test::run_for;
using test::run_until;
using test::TempDir;

namespace {

class WatchedTree {
 public:
  explicit WatchedTree(const TempDir& dir, std::size_t max_directories = 100) : inotify_(io_) {
    TreeWatch::Options options{dir.path("tree"), fs::current_identity()};
    options.interval = Milliseconds(40);
    options.max_directories = max_directories;
    options.on_change = [this] { ++told_; };
    watch_.emplace(io_, inotify_, std::move(options));
    watch_->start();
    REQUIRE(tells());  // what was before
  }
  bool tells() {
    const int before = told_;
    return run_until(io_, [&] { return told_ > before; });
  }
  bool is_quiet() {
    const int before = told_;
    run_for(io_, Milliseconds(1000));
    return told_ == before;
  }
  TreeWatch& watch() { return *watch_; }

 private:
  boost::asio::io_context io_{1};
  Inotify inotify_;
  int told_ = 0;
  std::optional<TreeWatch> watch_;
};

}  // namespace

TEST_CASE("changes anywhere in a tree are told, what is not captured is not") {
  const TempDir dir;
  dir.dir("tree");
  dir.dir("tree/projects");
  dir.dir("tree/sessions");
  WatchedTree watched(dir);
  CHECK(watched.is_quiet());
  dir.file("tree/projects/x", "1");
  CHECK(watched.tells());
  CHECK(watched.is_quiet());
  dir.file("tree/sessions/x", "1");
  dir.file("tree/settings.json.tmp.12345678", "1");
  dir.file("tree/.credentials.json", "1");
  CHECK(watched.is_quiet());
}

TEST_CASE("directories that are made later are watched too, whatever was made in them before that") {
  const TempDir dir;
  dir.dir("tree");
  WatchedTree watched(dir);
  dir.dir("tree/a");
  dir.dir("tree/a/b");
  dir.dir("tree/a/b/c");
  CHECK(watched.tells());
  dir.file("tree/a/b/c/x", "1");
  CHECK(watched.tells());
  REQUIRE(std::rename(dir.path("tree/a").c_str(), dir.path("tree/z").c_str()) == 0);
  CHECK(watched.tells());
  dir.file("tree/z/b/c/y", "1");
  CHECK(watched.tells());
  REQUIRE(std::rename(dir.path("tree/z").c_str(), dir.path("outside").c_str()) == 0);
  CHECK(watched.tells());
  dir.file("outside/b/c/z", "1");
  CHECK(watched.is_quiet());
}

TEST_CASE("a tree with too many directories is told of again and again, until it has fewer") {
  const TempDir dir;
  dir.dir("tree");
  dir.dir("tree/a");
  dir.dir("tree/b");
  WatchedTree watched(dir, 2);
  CHECK(watched.watch().polls());
  CHECK(watched.tells());
  CHECK(watched.tells());
  ::rmdir(dir.path("tree/b").c_str());
  CHECK(watched.tells());
  CHECK_FALSE(watched.watch().polls());
}

TEST_CASE("a root that was replaced is watched in place of the old one") {
  const TempDir dir;
  dir.dir("tree");
  WatchedTree watched(dir);
  REQUIRE(std::rename(dir.path("tree").c_str(), dir.path("old").c_str()) == 0);
  dir.dir("tree");
  dir.dir("tree/projects");
  watched.watch().check_root();
  CHECK(watched.tells());
  dir.file("tree/projects/x", "1");
  CHECK(watched.tells());
  dir.file("old/x", "1");
  CHECK(watched.is_quiet());
}
