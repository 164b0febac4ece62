#include "sync/restore.h"

#include <catch2/catch.hpp>

#include "login/login.h"
#include "state_helpers.h"
#include "sync/capture.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using test::FakeLogin;
using test::TempDir;

namespace {

RestoreReport restored(const TempDir& from, const StatePaths& to, const RestoreOptions& options = {},
                       fs::Identity target = fs::current_identity()) {
  const Store store = test::open_store(from.path());
  auto report = restore(store, to, target, options);
  if (!report) INFO(report.error().message());
  REQUIRE(report.ok());
  return std::move(*report);
}

void fill(const TempDir& store) {
  store.file(".credentials.json", FakeLogin{}.text());
  store.file(".claude.json", R"({"a":1})");
  store.file("settings.json", "{}");
  store.dir("projects");
  store.file("projects/s.jsonl", "history");
  store.mtime("projects/s.jsonl", 1'700'000'000, 42);
  store.file("hook.sh", "#!/bin/sh", 0755);
  store.dir(".claude-init");
  store.file(".claude-init/id", "x");
}

}  // namespace

TEST_CASE("a home gets the whole state, private, without the refresh token") {
  const TempDir store;
  const TempDir home;
  fill(store);
  const RestoreReport report = restored(store, state_in_home(home.path()));
  CHECK(report.files == 5);
  CHECK(report.skipped.empty());
  CHECK(home.read(".claude.json") == R"({"a":1})");
  CHECK(home.read(".claude/projects/s.jsonl") == "history");
  CHECK(home.stat(".claude/projects/s.jsonl").st_mtim.tv_nsec == 42);
  CHECK(home.mode(".claude") == 0700);
  CHECK(home.mode(".claude/projects/s.jsonl") == 0600);
  CHECK(home.mode(".claude/hook.sh") == 0700);
  CHECK(home.mode(".claude/.credentials.json") == 0600);
  CHECK_FALSE(home.exists(".claude/.claude-init"));
  CHECK_FALSE(home.exists(".claude/.claude.json"));
  const std::string text = home.read(".claude/.credentials.json");
  CHECK(text.find("FAKE-refresh") == std::string::npos);
  CHECK(text.find("FAKE-access-1") != std::string::npos);
  CHECK(text.find("unknown") != std::string::npos);
}

TEST_CASE("a configuration directory gets everything inside, the refresh token only where it was asked for") {
  const TempDir store;
  const TempDir work;
  fill(store);
  const StatePaths paths = state_in_config_dir(work.path("claude"));
  (void)restored(store, paths, {.refresh_token = RefreshToken::copy});
  CHECK(work.read("claude/.claude.json") == R"({"a":1})");
  CHECK(work.read("claude/.credentials.json") == store.read(".credentials.json"));
}

TEST_CASE("only the login, its settings and .claude.json are restored where only the login is wanted") {
  const TempDir store;
  const TempDir work;
  fill(store);
  const RestoreOptions options{.extent = Extent::login};
  const auto measured = measure(test::open_store(store.path()), options);
  REQUIRE(measured.ok());
  CHECK(measured->size.files == 3);
  CHECK_FALSE(measured->size.has_executables);
  CHECK(restored(store, state_in_config_dir(work.path("claude")), options).files == 3);
  CHECK(work.exists("claude/settings.json"));
  CHECK_FALSE(work.exists("claude/projects"));
}

TEST_CASE("what a restore would write is measured") {
  const TempDir store;
  fill(store);
  const auto measured = measure(test::open_store(store.path()), {});
  REQUIRE(measured.ok());
  CHECK(measured->size.files == 5);
  CHECK(measured->size.has_executables);
  CHECK(measured->size.bytes == 7 + 2 + 7 + 9 + store.read(".credentials.json").size());
}

TEST_CASE("what was found when a store was measured is copied without looking through it again") {
  const TempDir from;
  const TempDir work;
  fill(from);
  const Store store = test::open_store(from.path());
  auto measured = measure(store, {});
  REQUIRE(measured.ok());
  const StatePaths to = state_in_config_dir(work.path("claude"));
  const auto copy = [&] {
    const auto report = restore(store, to, fs::current_identity(), {}, std::move(*measured));
    REQUIRE(report.ok());
    return report->files;
  };
  // Without a transaction, by which alone a snapshot sees that a store has changed.
  from.file("later", "x");

  SECTION("an empty place") {
    work.dir("claude");
    CHECK(copy() == 5);
    CHECK_FALSE(work.exists("claude/later"));
    CHECK(work.read("claude/projects/s.jsonl") == "history");
    CHECK(work.mode("claude/hook.sh") == 0700);
  }
  SECTION("a place that is not empty is compared") {
    work.dir("claude");
    work.file("claude/settings.json", "another one's");
    CHECK(copy() == 6);
    CHECK(work.read("claude/settings.json") == "{}");
  }
  SECTION("a store that has changed since is looked through again") {
    from.file(".credentials.json", FakeLogin{.access = "FAKE-access-2"}.text());
    copy();
    CHECK(work.read("claude/later") == "x");
    CHECK(work.read("claude/.credentials.json").find("FAKE-access-2") != std::string::npos);
  }
}

TEST_CASE("a Kubernetes Secret mount is read through its links, without its own entries") {
  const TempDir store;
  const TempDir work;
  store.dir("..2026_1");
  store.file("..2026_1/.credentials.json", FakeLogin{}.text());
  store.file("..2026_1/.claude.json", "{}");
  store.file("..2026_1/settings.json", "{}");
  store.dir("..2026_1/skills");
  store.file("..2026_1/skills/s.md", "skill");
  store.link("skills", "..data/skills");
  store.link("..data", "..2026_1");
  for (const char* name : {".credentials.json", ".claude.json", "settings.json"}) {
    store.link(name, std::string("..data/") + name);
  }
  const RestoreReport report = restored(store, state_in_config_dir(work.path("claude")));
  CHECK(report.files == 4);
  CHECK(report.skipped.empty());
  CHECK(work.read("claude/skills/s.md") == "skill");
  CHECK(S_ISDIR(work.stat("claude/skills").st_mode));
  CHECK(S_ISREG(work.stat("claude/settings.json").st_mode));
  CHECK(S_ISREG(work.stat("claude/.credentials.json").st_mode));
  CHECK_FALSE(work.exists("claude/..data"));
}

TEST_CASE("login files that do not parse are not restored, and are named") {
  const TempDir store;
  const TempDir work;
  store.file(".credentials.json", "{\"claudeAi");
  store.file(".claude.json", "{");
  const RestoreReport report = restored(store, state_in_config_dir(work.path("claude")));
  CHECK(report.files == 0);
  CHECK(report.skipped.size() == 2);
  CHECK_FALSE(work.exists("claude/.credentials.json"));
  CHECK_FALSE(work.exists("claude/.claude.json"));
  CHECK(report.login == login::State::malformed);
  CHECK_FALSE(report.login_restored);
}

TEST_CASE("what the store has as a login is reported, and whether it was restored") {
  const TempDir store;
  const TempDir work;
  const StatePaths to = state_in_config_dir(work.path("claude"));
  CHECK(restored(store, to).login == login::State::missing);
  store.file(".credentials.json", "");
  CHECK(restored(store, to).login == login::State::empty);
  store.file(".credentials.json", FakeLogin{}.text());
  CHECK(restored(store, to).login == login::State::usable);
  CHECK(restored(store, to).login_restored);
  RestoreOptions without;
  without.filter.exclude = {".credentials.json"};
  CHECK_FALSE(restored(store, to, without).login);
  work.file("claude/.credentials.json", FakeLogin{.access = "FAKE-2", .valid_for = 7'200'000}.text());
  CHECK_FALSE(restored(store, to).login_restored);  // a better one is there
}

TEST_CASE("existing files are replaced, the same ones left, and a better login is kept") {
  const TempDir store;
  const TempDir home;
  fill(store);
  (void)restored(store, state_in_home(home.path()));
  home.file(".claude/projects/s.jsonl", "changed here");
  const RestoreReport again = restored(store, state_in_home(home.path()));
  CHECK(again.files == 3);  // it, and the two that are always written
  CHECK(home.read(".claude/projects/s.jsonl") == "history");
  const std::string better = FakeLogin{.access = "FAKE-2", .valid_for = 7'200'000}.text();
  home.file(".claude/.credentials.json", better);
  const RestoreReport kept = restored(store, state_in_home(home.path()));
  CHECK(home.read(".claude/.credentials.json") == better);
  REQUIRE(kept.skipped.size() == 1);
  CHECK(kept.skipped.front().path == ".credentials.json");
}

TEST_CASE("nothing outside the target is written, whatever links lie in it") {
  const TempDir store;
  const TempDir home;
  const TempDir outside;
  fill(store);
  outside.file("victim", "kept");
  home.dir(".claude");
  home.link(".claude/settings.json", outside.path("victim"));
  home.link(".claude/.credentials.json", outside.path("victim"));
  home.link(".claude/projects", outside.path());
  home.link(".claude.json", outside.path("victim"));
  const RestoreReport report = restored(store, state_in_home(home.path()));
  CHECK(outside.read("victim") == "kept");
  CHECK_FALSE(outside.exists("s.jsonl"));
  CHECK(home.read(".claude/settings.json") == "{}");
  CHECK(home.read(".claude.json") == R"({"a":1})");
  REQUIRE(report.skipped.size() == 1);
  CHECK(report.skipped.front().path == "projects");
}

TEST_CASE("what is a mount of its own in the target is left alone and named, and the rest is restored") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir store;
  const TempDir home;
  fill(store);
  home.dir(".claude");
  home.dir(".claude/projects");
  home.file(".claude/projects/theirs", "kept");
  home.file(".claude/settings.json", "kept");
  home.file(".claude.json", "kept");
  const test::Mounted projects(home.path(".claude/projects"));
  const test::Mounted settings(home.path(".claude/settings.json"));
  const test::Mounted claude_json(home.path(".claude.json"));
  if (!projects.ok() || !settings.ok() || !claude_json.ok()) {
    WARN("skipped: cannot mount");
    return;
  }
  const RestoreReport report = restored(store, state_in_home(home.path()));
  CHECK(report.skipped.size() == 3);
  for (const Skipped& skipped : report.skipped)
    CHECK(skipped.reason == "what is in its place is a mount of its own");
  CHECK(home.read(".claude/settings.json") == "kept");
  CHECK_FALSE(home.exists(".claude/projects/s.jsonl"));
  CHECK(home.exists(".claude/hook.sh"));
  CHECK(home.exists(".claude/.credentials.json"));
}

TEST_CASE("a store is not restored into itself") {
  const TempDir store;
  fill(store);
  const Store opened = test::open_store(store.path());
  const auto report = restore(opened, state_in_config_dir(store.path()), fs::current_identity(), {});
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().kind == ErrorKind::invalid);
}

TEST_CASE("a read-only store of one user becomes a copy of another's") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir store;
  const TempDir work;
  fill(store);
  for (const char* name : {"", ".credentials.json", ".claude.json", "settings.json", "projects",
                           "projects/s.jsonl", "hook.sh"}) {
    REQUIRE(::chown(store.path(name).c_str(), 1001, 1001) == 0);
  }
  REQUIRE(::chmod(store.path().c_str(), 0700) == 0);
  const test::Mounted mounted(store.path());
  if (!mounted.ok()) {
    WARN("skipped: cannot mount");
    return;
  }
  REQUIRE(mounted.make_read_only());
  REQUIRE(::chown(work.path().c_str(), 1234, 1235) == 0);
  const RestoreReport report = restored(store, state_in_config_dir(work.path("claude")), {}, {1234, 1235});
  CHECK(report.files == 5);
  for (const char* name :
       {"claude", "claude/.credentials.json", "claude/projects/s.jsonl", "claude/.claude.json"}) {
    INFO(name);
    CHECK(work.stat(name).st_uid == 1234);
    CHECK(work.stat(name).st_gid == 1235);
  }
}

TEST_CASE("a state that was captured and restored is the same state") {
  const TempDir home;
  const TempDir store;
  const TempDir other;
  home.dir(".claude");
  home.file(".claude/.credentials.json", FakeLogin{}.text());
  home.file(".claude.json", "{}");
  home.dir(".claude/projects");
  home.file(".claude/projects/f\n", "1");
  home.link(".claude/projects/l", "f\n");
  home.link(".claude/absolute", home.path(".claude/projects"));
  const auto capture_into = [&](const TempDir& from) {
    const Store opened = test::open_store(store.path());
    const auto report =
        capture(state_in_home(from.path()), fs::current_identity(), opened, test::lock_store(opened), {});
    REQUIRE(report.ok());
    return *report;
  };
  CHECK(capture_into(home).skipped.empty());
  (void)restored(store, state_in_home(other.path()));
  CHECK(other.target(".claude/absolute") == "projects");
  const CaptureReport again = capture_into(other);
  CHECK(again.added + again.changed == 0);
  CHECK(again.login.choice == login::Choice::same);
}
