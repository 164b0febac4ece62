#include "store/snapshot.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "state_helpers.h"
#include "sync/restore.h"
#include "sync/transaction.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using test::TempDir;

namespace {

Tree tree_of(const TempDir& dir) {
  return {dir.fd(), dir.path(), fs::current_identity()};
}

/// A store with an old state in place and a new one committed: a file replaced, one added, a directory added,
/// a link, one file deleted and a directory with it.
struct Committed {
  TempDir dir;
  Journal journal;

  Committed() {
    dir.file("same", "same");
    dir.file("f", "old");
    dir.dir("d");
    dir.file("d/goes", "x");
    dir.dir("e");
    dir.file("e/goes", "x");
    dir.file("e/stays", "x");
    dir.dir(".claude-init");
    dir.dir(".claude-init/stage");
    const auto stage = [&](const std::string& name, const std::string& path) {
      journal.moves.push_back({name, path});
      return ".claude-init/stage/" + name;
    };
    dir.file(stage("1-1", "f"), "new");
    dir.file(stage("1-2", "e/added"), "added");
    dir.dir(stage("1-3", "whole"));
    dir.dir(".claude-init/stage/1-3/sub");
    dir.file(".claude-init/stage/1-3/sub/x", "whole");
    dir.link(stage("1-4", "l"), "whole/sub/x");
    for (const char* path : {"d/goes", "e/goes"})
      journal.deletions.push_back({path, stamp_of(dir.stat(path))});
    journal.directories = {"d"};
    dir.file(".claude-init/journal", encode(journal));
  }

  /// The first `moves` of the moves are done, and the first `deletions` of the deletions.
  void apply(std::size_t moves, std::size_t deletions) const {
    for (std::size_t i = 0; i < moves; ++i) {
      const std::string from = dir.path(".claude-init/stage/" + journal.moves[i].staged);
      REQUIRE(::rename(from.c_str(), dir.path(journal.moves[i].path).c_str()) == 0);
    }
    for (std::size_t i = 0; i < deletions; ++i)
      REQUIRE(::unlink(dir.path(journal.deletions[i].path).c_str()) == 0);
  }
};

}  // namespace

TEST_CASE(
    "a committed journal is read through, however much of it is in place, also from a read-only store") {
  const Committed store;
  const auto [moves, deletions] = GENERATE(std::pair(0, 0), std::pair(1, 0), std::pair(3, 0), std::pair(4, 0),
                                           std::pair(4, 1), std::pair(4, 2));
  store.apply(static_cast<std::size_t>(moves), static_cast<std::size_t>(deletions));
  const bool read_only = GENERATE(false, true);
  const test::Mounted mount(store.dir.path());
  if (read_only && (!mount.ok() || !mount.make_read_only())) {
    WARN("skipped: cannot mount");
    return;
  }
  const TempDir home;
  const Store opened = test::open_store(store.dir.path());
  RestoreOptions options;
  const auto measured = measure(opened, options);
  REQUIRE(measured.ok());
  CHECK(measured->size.files == 6);
  const auto report = restore(opened, state_in_config_dir(home.path("c")), fs::current_identity(), options);
  REQUIRE(report.ok());
  CHECK(report->files == 6);
  CHECK(home.read("c/f") == "new");
  CHECK(home.read("c/same") == "same");
  CHECK(home.read("c/e/added") == "added");
  CHECK(home.read("c/e/stays") == "x");
  CHECK(home.read("c/whole/sub/x") == "whole");
  CHECK(home.target("c/l") == "whole/sub/x");
  CHECK_FALSE(home.exists("c/d"));
  CHECK_FALSE(home.exists("c/e/goes"));
  CHECK(store.dir.exists(".claude-init/journal"));  // reading changes nothing
}

TEST_CASE("a journal that cannot be believed is not read through") {
  const Committed store;
  store.dir.file(".claude-init/journal", "x");
  const auto snapshot = Snapshot::take(tree_of(store.dir));
  REQUIRE(snapshot.ok());
  CHECK(snapshot->tree().pending == nullptr);
  CHECK(snapshot->holds());
}

TEST_CASE("a snapshot holds until something is committed, and no longer") {
  const TempDir dir;
  dir.file("f", "old");
  dir.link("..data", "..1");
  const auto put = [&](const char* name) {
    auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::each);
    REQUIRE(transaction->add_file(name, "{}").ok());
    REQUIRE(transaction->commit().ok());
  };
  put("f");
  for (const char* name : {"f", "f", ".credentials.json", ".credentials.json", ".claude.json"}) {
    INFO(name);
    const auto snapshot = Snapshot::take(tree_of(dir));
    REQUIRE(snapshot.ok());
    CHECK(snapshot->holds());
    put(name);
    CHECK_FALSE(snapshot->holds());
  }
  const auto snapshot = Snapshot::take(tree_of(dir));
  REQUIRE(::unlink(dir.path("..data").c_str()) == 0);
  dir.link("..data", "..2");
  CHECK_FALSE(snapshot->holds());
}

TEST_CASE("who changes modes all the time keeps nobody from a snapshot, nor from what it holds") {
  const Committed store;
  store.dir.file(".credentials.json", "{}");
  const std::string path = store.dir.path(".credentials.json");
  std::atomic<bool> over = false;
  std::thread changer([&] {
    for (mode_t mode = 0600; !over; mode ^= 0040) ::chmod(path.c_str(), mode);
  });
  for (int i = 0; i < 20; ++i) {
    const auto snapshot = Snapshot::take(tree_of(store.dir));
    CHECK(snapshot.ok());
    CHECK(snapshot->tree().pending != nullptr);
    CHECK(snapshot->holds());
  }
  over = true;
  changer.join();
}

TEST_CASE("who writes all the time gets a snapshot that does not hold, instead of none at all") {
  const Committed store;
  const std::string path = store.dir.path(".credentials.json");
  std::atomic<bool> over = false;
  std::thread writer([&] {
    for (std::string text; !over; text += ' ') {
      if (text.size() > 1000) text.clear();
      store.dir.file(".credentials.json", text);
    }
  });
  for (int i = 0; i < 20; ++i) CHECK(Snapshot::take(tree_of(store.dir)).ok());
  over = true;
  writer.join();
}

TEST_CASE("putting a committed journal into place changes nothing for whoever reads through it") {
  const Committed store;
  const auto snapshot = Snapshot::take(tree_of(store.dir));
  REQUIRE(snapshot.ok());
  REQUIRE(snapshot->tree().pending != nullptr);
  REQUIRE(Transaction::recover(tree_of(store.dir)).ok());
  CHECK_FALSE(store.dir.exists(".claude-init/journal"));
  CHECK(snapshot->holds());
}
