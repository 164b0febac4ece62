#include "sync/deletions.h"

#include <catch2/catch.hpp>

#include "state_helpers.h"
#include "sync/capture.h"
#include "sync/restore.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using test::FakeLogin;
using test::TempDir;

namespace {

/// One session: a home that was filled from the store, and what it had then.
struct Session {
  TempDir home;
  Baseline baseline;

  void restore(const TempDir& store) {
    RestoreOptions options;
    options.baseline = &baseline;
    REQUIRE(sync::restore(test::open_store(store.path()), state_in_home(home.path()), fs::current_identity(),
                          options)
                .ok());
  }
  CaptureReport capture(const TempDir& store, Deletions deletions = Deletions::proven) {
    CaptureOptions options;
    options.delete_missing = deletions;
    options.baseline = &baseline;
    const Store opened = test::open_store(store.path());
    auto report = sync::capture(state_in_home(home.path()), fs::current_identity(), opened,
                                test::lock_store(opened), options);
    REQUIRE(report.ok());
    return std::move(*report);
  }
  void remove(const std::string& name) const { REQUIRE(::unlink(home.path(name).c_str()) == 0); }
};

/// A store with some history.
struct Filled : TempDir {
  Filled() {
    file(".credentials.json", FakeLogin{}.text());
    file(".claude.json", "{}");
    file("a", "a");
    dir("p");
    file("p/1", "1");
    dir("p/q");
    file("p/q/2", "2");
    link("l", "a");
    dir("cache");
    file("cache/x", "never captured");
  }
};

}  // namespace

TEST_CASE(
    "what the session had and the person has deleted is deleted, with the directories that are empty then") {
  const Filled store;
  Session session;
  session.restore(store);
  session.remove(".claude/p/1");
  session.remove(".claude/p/q/2");
  session.remove(".claude/l");
  for (const char* name : {".claude/p/q", ".claude/p"})
    REQUIRE(::rmdir(session.home.path(name).c_str()) == 0);
  const CaptureReport report = session.capture(store);
  CHECK(report.deleted == 3);
  CHECK_FALSE(store.exists("p"));
  CHECK_FALSE(store.exists("l"));
  CHECK(store.read("a") == "a");
  CHECK(store.exists("cache/x"));
  CHECK(store.exists(".credentials.json"));
}

TEST_CASE("what the session itself has captured can be deleted by a later capture of it") {
  const TempDir store;
  Session session;
  session.home.dir(".claude");
  session.home.dir(".claude/d");
  session.home.file(".claude/d/f", "1");
  session.home.file(".claude/g", "1");
  CHECK(session.capture(store).added == 2);
  session.remove(".claude/d/f");
  CHECK(session.capture(store).deleted == 1);
  CHECK_FALSE(store.exists("d/f"));
  CHECK(store.exists("d"));
}

TEST_CASE("without proof nothing is deleted: no baseline, a failed restore, another copy, an unknown file") {
  const Filled store;
  Session session;
  SECTION("no restore") {
    session.home.dir(".claude");
  }
  SECTION("a restore that failed") {
    RestoreOptions options;
    options.baseline = &session.baseline;
    options.limits.max_bytes = 1;
    REQUIRE_FALSE(restore(test::open_store(store.path()), state_in_home(session.home.path()),
                          fs::current_identity(), options)
                      .ok());
    CHECK(session.baseline.size() == 0);
  }
  SECTION("the store's copy has changed since") {
    session.restore(store);
    session.remove(".claude/p/1");
    store.file("p/1", "somebody else's");
  }
  SECTION("the store got it since") {
    session.restore(store);
    store.file("p/3", "somebody else's");
  }
  session.home.file(".claude/other", "x");
  const std::string before = store.read("p/1");
  CHECK(session.capture(store).deleted == 0);
  CHECK(store.read("p/1") == before);
  CHECK(store.exists("p/q/2"));
  CHECK(store.exists("l"));
}

TEST_CASE("a source that has become empty deletes nothing, not even when everything may be deleted") {
  const Filled store;
  const bool login_left = GENERATE(false, true);
  const Deletions deletions = GENERATE(Deletions::proven, Deletions::all);
  Session session;
  session.restore(store);
  for (const char* name : {"a", "l", "p/1", "p/q/2"}) session.remove(std::string(".claude/") + name);
  for (const char* name : {"p/q", "p"})
    REQUIRE(::rmdir(session.home.path(std::string(".claude/") + name).c_str()) == 0);
  if (!login_left) {
    session.remove(".claude/.credentials.json");
    session.remove(".claude.json");
  }
  CHECK(session.capture(store, deletions).deleted == 0);
  for (const char* name : {"a", "l", "p/1", "p/q/2", ".credentials.json", ".claude.json"})
    CHECK(store.exists(name));
}

TEST_CASE(
    "when a person asks for it everything that the source lacks is deleted, but no login and nothing "
    "filtered") {
  const Filled store;
  Session session;
  session.home.dir(".claude");
  session.home.file(".claude/a", "a");
  const CaptureReport report = session.capture(store, Deletions::all);
  CHECK(report.deleted == 3);
  CHECK_FALSE(store.exists("p"));
  CHECK_FALSE(store.exists("l"));
  for (const char* name : {"a", "cache/x", ".credentials.json", ".claude.json", ".claude-init"})
    CHECK(store.exists(name));
}

TEST_CASE("two sessions on one store: each adds and deletes its own, neither undoes the other's work") {
  const Filled store;
  store.file("settings.json", "old");
  Session one;
  Session two;
  one.restore(store);
  two.restore(store);
  one.home.file(".claude/by-one", "1");
  one.home.file(".claude/settings.json", "by one");
  one.home.file(".claude.json", R"({"by":"one"})");
  one.remove(".claude/a");
  two.home.file(".claude/by-two", "2");
  two.remove(".claude/p/1");
  (void)one.capture(store);
  (void)two.capture(store);
  CHECK(store.read("by-one") == "1");
  CHECK(store.read("by-two") == "2");
  CHECK(store.read("settings.json") == "by one");
  CHECK(store.read(".claude.json") == R"({"by":"one"})");
  CHECK_FALSE(store.exists("p/1"));
  (void)one.capture(store);
  CHECK(store.exists("by-two"));  // which the first session never had
}

TEST_CASE("a directory of the source that cannot be read deletes nothing of what the store has of it") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const Filled store;
  Session session;
  session.restore(store);
  session.home.file(".claude/p/1", "changed");
  const Store opened = test::open_store(store.path());
  for (const char* name : {"", ".claude", ".claude/a"})
    REQUIRE(::chown(session.home.path(name).c_str(), 1234, 1234) == 0);
  CaptureOptions options;
  options.delete_missing = Deletions::proven;
  options.baseline = &session.baseline;
  const auto report =
      capture(state_in_home(session.home.path()), {1234, 1234}, opened, test::lock_store(opened), options);
  REQUIRE(report.ok());
  CHECK(report->deleted == 0);
  CHECK(store.exists("p/1"));
}
