#include "sync/capture.h"

#include <catch2/catch.hpp>

#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using namespace claude_init::lock;
using login::Choice;
using test::FakeLogin;
using test::TempDir;

namespace {

/// A home with a CLI's state in it, and a store beside it.
struct World {
  TempDir home;
  TempDir store;

  World() { home.dir(".claude"); }

  void login(const std::string& text) const { home.file(".claude/.credentials.json", text, 0600); }
  [[nodiscard]] std::string stored_login() const { return store.read(".credentials.json"); }

  [[nodiscard]] Result<CaptureReport> capture(const CaptureOptions& options = {}) const {
    const Store opened = test::open_store(store.path());
    const Lock lock = test::lock_store(opened);
    return sync::capture(state_in_home(home.path()), fs::current_identity(), opened, lock, options);
  }
  [[nodiscard]] CaptureReport captured(const CaptureOptions& options = {}) const {
    auto report = capture(options);
    REQUIRE(report.ok());
    return std::move(*report);
  }
};

std::string without_scopes(std::string text) {
  constexpr std::string_view kScopes = R"("scopes":["user:inference"],)";
  return text.erase(text.find(kScopes), kScopes.size());
}

}  // namespace

TEST_CASE("a first capture brings everything into the store, private and with its times") {
  const World world;
  const std::string login = FakeLogin{}.text();
  world.login(login);
  world.home.file(".claude.json", R"({"hasCompletedOnboarding":true})", 0644);
  world.home.dir(".claude/projects");
  world.home.dir(".claude/projects/p");
  world.home.file(".claude/projects/p/s.jsonl", "history\n", 0644);
  world.home.mtime(".claude/projects/p/s.jsonl", 1'700'000'000, 42);
  world.home.file(".claude/hook.sh", "#!/bin/sh\n", 0755);
  world.home.dir(".claude/sessions");
  world.home.file(".claude/sessions/1.json", "{}");
  const CaptureReport report = world.captured();
  CHECK(report.login.choice == Choice::take);
  CHECK(report.added == 4);
  CHECK(report.changed == 0);
  CHECK(report.skipped.empty());
  CHECK(world.stored_login() == login);  // byte for byte
  CHECK(world.store.read(".claude.json") == R"({"hasCompletedOnboarding":true})");
  CHECK(world.store.read("projects/p/s.jsonl") == "history\n");
  CHECK(world.store.mode(".credentials.json") == 0600);
  CHECK(world.store.mode("projects/p/s.jsonl") == 0600);
  CHECK(world.store.mode("projects") == 0700);
  CHECK(world.store.mode("hook.sh") == 0700);
  CHECK(world.store.stat("projects/p/s.jsonl").st_mtim.tv_nsec == 42);
  CHECK_FALSE(world.store.exists("sessions"));
  CHECK_FALSE(world.store.exists(".claude-init/stage"));
}

TEST_CASE("of many files, which are copied several at a time, each arrives, new and changed ones and links") {
  const World world;
  world.home.dir(".claude/many");
  const auto name = [](int i) { return ".claude/many/" + std::to_string(i % 40) + "/" + std::to_string(i); };
  for (int i = 0; i < 40; ++i) world.home.dir(".claude/many/" + std::to_string(i));
  for (int i = 0; i < 1000; ++i) world.home.file(name(i), std::string(static_cast<std::size_t>(i), 'a'));
  world.home.link(".claude/many/0/link", "0");
  CHECK(world.captured().added == 1001);
  for (int i = 1; i < 1000; i += 2)
    world.home.file(name(i), std::string(static_cast<std::size_t>(i), 'b') + "!");
  const CaptureReport again = world.captured();
  CHECK(again.changed == 500);
  CHECK(again.unchanged == 501);
  int wrong = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::string expected = i % 2 == 0 ? std::string(static_cast<std::size_t>(i), 'a')
                                            : std::string(static_cast<std::size_t>(i), 'b') + "!";
    wrong += world.store.read(name(i).substr(8)) == expected ? 0 : 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE("a second capture writes nothing, and drifted modes are no change") {
  const World world;
  world.login(FakeLogin{}.text());
  world.home.file(".claude.json", "{}");
  world.home.file(".claude/settings.json", "{}");
  (void)world.captured();
  REQUIRE(::chmod(world.store.path("settings.json").c_str(), 0644) == 0);
  const auto before = world.store.stat("settings.json").st_ino;
  const CaptureReport report = world.captured();
  CHECK(report.login.choice == Choice::same);
  CHECK(report.added == 0);
  CHECK(report.changed == 0);
  CHECK(report.unchanged == 2);
  CHECK(report.bytes == 0);
  CHECK(world.store.stat("settings.json").st_ino == before);
}

TEST_CASE("what changed is replaced, what has gone from the source stays in the store") {
  const World world;
  world.home.file(".claude/a", "1");
  world.home.file(".claude/b", "1");
  (void)world.captured();
  world.home.file(".claude/a", "22");
  REQUIRE(::unlink(world.home.path(".claude/b").c_str()) == 0);
  const CaptureReport report = world.captured();
  CHECK(report.changed == 1);
  CHECK(report.added == 0);
  CHECK(world.store.read("a") == "22");
  CHECK(world.store.read("b") == "1");
}

TEST_CASE("a login that is no better never replaces one that is, and the rest is captured all the same") {
  const World world;
  const std::string good = FakeLogin{}.text();
  world.login(good);
  (void)world.captured();
  const std::vector<std::string> worse{"",
                                       good.substr(0, good.size() / 2),
                                       FakeLogin{.access = "", .refresh = ""}.text(),
                                       without_scopes(FakeLogin{.access = "FAKE-2"}.text()),
                                       FakeLogin{.access = "FAKE-2", .refresh = ""}.text(),
                                       FakeLogin{.access = "FAKE-2", .account = "account-2"}.text(),
                                       FakeLogin{.access = "FAKE-2", .valid_for = 1000}.text()};
  for (std::size_t i = 0; i < worse.size(); ++i) {
    INFO(i);
    world.login(worse[i]);
    world.home.file(".claude/rest", std::string(i + 1, 'x'));
    const CaptureReport report = world.captured();
    CHECK(report.login.choice == Choice::keep_store);
    CHECK_FALSE(report.login.reason.empty());
    CHECK(world.stored_login() == good);
    CHECK(world.store.read("rest").size() == i + 1);
  }
  REQUIRE(::unlink(world.home.path(".claude/.credentials.json").c_str()) == 0);
  CHECK(world.captured().login.choice == Choice::keep_store);
  CHECK(world.stored_login() == good);
  world.login(FakeLogin{.access = "FAKE-2", .account = "account-2"}.text());
  const CaptureReport changed = world.captured({.rules = {.allow_account_change = true}});
  CHECK(changed.login.choice == Choice::take);
  CHECK(changed.login.account_changed);
}

TEST_CASE("logins beside Claude's are captured each for itself, whatever becomes of that") {
  const World world;
  const auto with_server = [](const FakeLogin& login, const std::string& server) {
    std::string text = login.text();
    return text.replace(text.find("{}}"), 3, "{" + server + "}}");
  };
  const std::string first = R"("one":{"accessToken":"FAKE-a1","refreshToken":"FAKE-r1","expiresAt":1})";
  const std::string second = R"("one":{"accessToken":"FAKE-a2","refreshToken":"FAKE-r2","expiresAt":2})";
  world.login(with_server({}, first));
  (void)world.captured();
  // Renewed by somebody else; the older one comes again with a newer login of Claude's.
  world.login(with_server({}, second));
  (void)world.captured();
  CHECK(world.stored_login().find("FAKE-r2") != std::string::npos);
  world.login(with_server({.access = "FAKE-2", .valid_for = 7'200'000}, first));
  CHECK(world.captured().login.choice == Choice::take);
  CHECK(world.stored_login().find("FAKE-r2") != std::string::npos);
  CHECK(world.stored_login().find("\"FAKE-2\"") != std::string::npos);
  // A session that was given neither refresh token logs in to a server.
  const auto session =
      login::without_refresh_token(with_server({.access = "FAKE-2", .valid_for = 7'200'000}, ""));
  std::string text(session->reveal());
  world.login(
      text.replace(text.find("{}}"), 3, R"({"two":{"accessToken":"FAKE-b","refreshToken":"FAKE-s"}}})"));
  CHECK(world.captured().login.choice == Choice::same);
  for (const char* kept : {"FAKE-r2", "FAKE-s", "FAKE-refresh-1"})
    CHECK(world.stored_login().find(kept) != std::string::npos);
  const std::string before = world.stored_login();
  (void)world.captured();
  CHECK(world.stored_login() == before);
}

TEST_CASE("a login that cannot be read, on either side, is said and replaces nothing") {
  const World world;
  const std::string good = FakeLogin{}.text();
  world.home.fifo(".claude/.credentials.json");
  CaptureReport report = world.captured();
  CHECK(report.login.choice == Choice::nothing);
  CHECK(report.login.source_state == login::State::malformed);
  CHECK(report.login.reason == "the captured one cannot be read (.credentials.json is a FIFO)");
  REQUIRE(::unlink(world.home.path(".claude/.credentials.json").c_str()) == 0);
  world.login(good);
  world.store.dir(".credentials.json");
  report = world.captured();
  CHECK(report.login.choice == Choice::keep_store);
  CHECK(report.login.store_state == login::State::unreadable);
}

TEST_CASE("a .claude.json that does not parse never replaces one that does") {
  const World world;
  world.home.file(".claude.json", R"({"a":1})");
  (void)world.captured();
  for (const char* broken : {"", R"({"a":)", "[]"}) {
    world.home.file(".claude.json", broken);
    const CaptureReport report = world.captured();
    CHECK(report.settings_kept);
    REQUIRE(report.skipped.size() == 1);
    CHECK(world.store.read(".claude.json") == R"({"a":1})");
  }
  world.home.file(".claude.json", R"({"a":2})");
  CHECK_FALSE(world.captured().settings_kept);
  CHECK(world.store.read(".claude.json") == R"({"a":2})");
}

TEST_CASE("a .claude.json that is a link is read as long as it stays in the home") {
  const World world;
  world.home.dir("dotfiles");
  world.home.file("dotfiles/claude.json", R"({"a":1})");
  world.home.link(".claude.json", "dotfiles/claude.json");
  CHECK(world.captured().skipped.empty());
  CHECK(world.store.read(".claude.json") == R"({"a":1})");
  REQUIRE(::unlink(world.home.path(".claude.json").c_str()) == 0);
  world.home.link(".claude.json", "/etc/hostname");
  const CaptureReport report = world.captured();
  REQUIRE(report.skipped.size() == 1);
  CHECK(report.skipped.front().reason == ".claude.json is a link that points outside");
}

TEST_CASE("a home that its user may not list is captured from") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const World world;
  world.home.file(".claude.json", "{}");
  REQUIRE(::chmod(world.home.path().c_str(), 0711) == 0);
  REQUIRE(::chown(world.home.path(".claude").c_str(), 1234, 1234) == 0);
  const Store opened = test::open_store(world.store.path());
  const Lock lock = test::lock_store(opened);
  const auto report = capture(state_in_home(world.home.path()), {1234, 1234}, opened, lock, {});
  REQUIRE(report.ok());
  CHECK(world.store.read(".claude.json") == "{}");
}

TEST_CASE("with CLAUDE_CONFIG_DIR the same files are found inside") {
  const TempDir config;
  const TempDir store;
  config.file(".credentials.json", FakeLogin{}.text());
  config.file(".claude.json", "{}");
  const Store opened = test::open_store(store.path());
  const auto report = capture(state_in_config_dir(config.path()), fs::current_identity(), opened,
                              test::lock_store(opened), {});
  REQUIRE(report.ok());
  CHECK(store.exists(".credentials.json"));
  CHECK(store.read(".claude.json") == "{}");
}

TEST_CASE("a home in which nobody used the CLI is no failure and changes nothing") {
  const World world;
  REQUIRE(::rmdir(world.home.path(".claude").c_str()) == 0);
  world.store.file("history", "kept");
  const CaptureReport report = world.captured();
  CHECK(report.login.choice == Choice::nothing);
  CHECK(report.added + report.changed == 0);
  CHECK(world.store.read("history") == "kept");
}

TEST_CASE("too much of the rest is an error that says that the login is saved, and the rest is untouched") {
  const World world;
  world.login(FakeLogin{}.text());
  world.home.file(".claude/a", std::string(2000, 'x'));
  const auto report = world.capture({.limits = {.max_bytes = 1000}});
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().kind == ErrorKind::limit);
  CHECK(report.error().what.find("the login is saved") != std::string::npos);
  CHECK(world.store.exists(".credentials.json"));
  CHECK_FALSE(world.store.exists("a"));
}

TEST_CASE("out of time, the login is saved and what is left out is named") {
  const World world;
  world.login(FakeLogin{}.text());
  world.home.file(".claude/a", "x");
  const CaptureReport report = world.captured({.deadline = std::chrono::steady_clock::now()});
  CHECK(report.login.choice == Choice::take);
  CHECK(report.left_out == std::vector<std::string>{"a"});
  CHECK(world.store.exists(".credentials.json"));
}

TEST_CASE(
    "out of time in the middle of many files, those that are left out are named, and the others are there") {
  const World world;
  world.login(FakeLogin{}.text());
  world.home.dir(".claude/projects");
  for (int i = 0; i < 1000; ++i) world.home.file(".claude/projects/" + std::to_string(i), "history\n");
  CaptureOptions options;
  int asked = 0;
  options.deadline = Deadline([&asked] { return ++asked > 500; });
  const CaptureReport report = world.captured(options);
  CHECK(report.left_out.size() > 100);
  CHECK(report.added > 100);
  CHECK(report.left_out.size() + report.added == 1001);
}

TEST_CASE("what a capture that was killed left staged is dropped by the next one, whatever that has to do") {
  const World world;
  world.store.dir(".claude-init");
  world.store.dir(".claude-init/stage");
  world.store.file(".claude-init/stage/1", "FAKE left over");
  (void)world.captured();
  CHECK_FALSE(world.store.exists(".claude-init/stage"));
}

TEST_CASE("a store that is full keeps what it had, and no stage") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const World world;
  const test::Mounted disk(world.store.path(), "size=1m");
  if (!disk.ok()) {
    WARN("skipped: cannot mount");
    return;
  }
  world.home.file(".claude/a", "old");
  const std::string good = FakeLogin{}.text();
  world.login(good);
  CHECK(world.captured().added == 2);
  world.home.file(".claude/a", "new!");
  world.home.file(".claude/b", std::string(2 << 20, 'x'));
  world.home.dir(".claude/d");
  const auto report = world.capture();
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().kind == ErrorKind::no_space);
  CHECK(world.store.read("a") == "old");
  CHECK(world.stored_login() == good);
  CHECK_FALSE(world.store.exists("b"));
  CHECK_FALSE(world.store.exists("d"));
  CHECK_FALSE(world.store.exists(".claude-init/stage"));
}

TEST_CASE("what an earlier session left never replaces what the store got later, and the rest is saved") {
  const World world;
  world.home.dir(".claude/projects");
  world.home.file(".claude/projects/old.jsonl", "left\n");
  world.home.mtime(".claude/projects/old.jsonl", 1'700'000'000, 0);
  world.home.file(".claude/projects/new.jsonl", "left\n");
  world.home.file(".claude.json", R"({"numStartups":1})");
  world.home.mtime(".claude.json", 1'700'000'000, 0);
  world.store.dir("projects");
  world.store.file("projects/old.jsonl", "stored later\n");
  world.store.file(".claude.json", R"({"numStartups":2})");

  CaptureOptions options;
  options.keep_newer = true;
  const CaptureReport report = world.captured(options);
  CHECK(world.store.read("projects/old.jsonl") == "stored later\n");
  CHECK(world.store.read(".claude.json") == R"({"numStartups":2})");
  CHECK(world.store.read("projects/new.jsonl") == "left\n");
  CHECK(report.added == 1);
  CHECK(report.changed == 0);

  CHECK(world.captured().changed == 2);  // a capture at the end of a session takes what the session has
}
