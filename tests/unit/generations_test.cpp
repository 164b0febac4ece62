#include "store/generations.h"

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

struct World {
  TempDir home;
  TempDir store;

  World() { home.dir(".claude"); }

  void login(int number) const {
    home.file(".claude/.credentials.json",
              FakeLogin{.access = "FAKE-" + std::to_string(number), .valid_for = number * 3'600'000}.text());
  }
  void capture(const std::string& reason, unsigned keep = kKeepGenerations, login::Rules rules = {}) const {
    CaptureOptions options;
    options.rules = rules;
    options.reason = reason;
    options.keep_generations = keep;
    const Store opened = test::open_store(store.path());
    REQUIRE(sync::capture(state_in_home(home.path()), fs::current_identity(), opened,
                          test::lock_store(opened), options)
                .ok());
  }
  [[nodiscard]] std::vector<Generation> list() const {
    auto listed = list_generations(test::open_store(store.path()), unix_now());
    REQUIRE(listed.ok());
    return std::move(*listed);
  }
  [[nodiscard]] std::string token(unsigned number) const {
    const std::string text =
        store.read(".claude-init/generations/" + std::to_string(number) + "/.credentials.json");
    return std::string(login::access_token(text).reveal());
  }
};

}  // namespace

TEST_CASE("each capture that changes a login file makes one generation, and one that does not makes none") {
  const World world;
  CHECK(world.list().empty());
  world.login(1);
  world.home.file(".claude.json", R"({"oauthAccount":{"emailAddress":"who@example.invalid"}})");
  world.home.file(".claude/settings.json", "{}");
  world.home.file(".claude/history.jsonl", "1");
  world.capture("setup");
  REQUIRE(world.list().size() == 1);
  world.home.file(".claude/history.jsonl", "22");
  world.capture("capture");
  REQUIRE(world.list().size() == 1);
  world.home.file(".claude/settings.json", R"({"a":1})");
  world.capture("checkpoint");
  world.login(2);
  world.capture("renewal");
  const auto listed = world.list();
  REQUIRE(listed.size() == 3);
  CHECK(listed[0].number == 1);
  CHECK(listed[0].reason == "setup");
  CHECK(listed[0].account == "who@example.invalid");
  CHECK(listed[0].state == login::State::usable);
  CHECK(std::abs(listed[0].at - unix_now()) < 60'000);
  CHECK(listed[1].reason == "checkpoint");
  CHECK(listed[2].reason == "renewal");
  CHECK(listed[2].login->expires_at > listed[1].login->expires_at);
  CHECK(world.token(1) == "FAKE-1");
  CHECK(world.token(3) == "FAKE-2");
  CHECK(world.store.mode(".claude-init/generations/3") == 0700);
  CHECK(world.store.mode(".claude-init/generations/3/.credentials.json") == 0600);
  CHECK(world.store.stat(".claude-init/generations/3/.credentials.json").st_nlink == 1);
  CHECK(world.store.stat(".credentials.json").st_nlink == 1);
}

TEST_CASE("a login that was put into the store by hand is kept before it is replaced") {
  const World world;
  world.store.file(".credentials.json", FakeLogin{.access = "FAKE-by-hand"}.text());
  world.store.mtime(".credentials.json", 1'700'000'000, 5'000'000);
  world.login(2);
  world.capture("setup");
  const auto listed = world.list();
  REQUIRE(listed.size() == 2);
  CHECK(listed[0].reason == "found");
  CHECK(listed[0].at == 1'700'000'000'005);
  CHECK(world.token(1) == "FAKE-by-hand");
  CHECK(world.token(2) == "FAKE-2");
}

TEST_CASE("no more are kept than was asked for, and settings push no login out") {
  const World world;
  for (int i = 1; i <= 3; ++i) {
    world.login(i);
    world.capture("renewal", 4);
  }
  for (int i = 1; i <= 6; ++i) {
    world.home.file(".claude.json", "{\"n\":" + std::to_string(i) + "}");
    world.capture("checkpoint", 4);
  }
  REQUIRE(world.list().size() == 4);
  CHECK(world.token(1) == "FAKE-1");
  CHECK(world.token(2) == "FAKE-2");
  CHECK(world.token(9) == "FAKE-3");
  world.login(4);
  world.capture("renewal", 2);
  REQUIRE(world.list().size() == 2);
  CHECK(world.token(9) == "FAKE-3");
  CHECK(world.token(10) == "FAKE-4");
  world.login(5);
  world.capture("renewal", 0);
  CHECK(world.list().size() == 2);
}

TEST_CASE("the login that was last proven is pushed out by none that is not") {
  const World world;
  world.login(1);
  world.capture("setup", 3, {.by_person = true});
  world.login(2);
  world.capture("setup", 3, {.by_person = true});
  for (int i = 3; i <= 8; ++i) {
    world.login(i);
    world.capture("capture", 3);
  }
  REQUIRE(world.list().size() == 3);
  CHECK(world.token(2) == "FAKE-2");
  CHECK(world.list().front().proven);
  CHECK_FALSE(world.list().back().proven);
  CHECK(world.token(8) == "FAKE-8");
  const Store store = test::open_store(world.store.path());
  CHECK(*is_proven(store, FakeLogin{.access = "FAKE-2"}.text()));
  CHECK_FALSE(*is_proven(store, FakeLogin{.access = "FAKE-2", .refresh = "FAKE-other"}.text()));
  CHECK_FALSE(*is_proven(store, FakeLogin{.access = "FAKE-8"}.text()));
  const auto unknown =
      test::without_descriptors([&] { return is_proven(store, FakeLogin{.access = "FAKE-2"}.text()); });
  CHECK_FALSE(unknown.ok());
  // Also where no more than one is kept, and until another one is proven.
  world.login(9);
  world.capture("capture", 1);
  CHECK(world.list().size() == 2);
  world.login(10);
  world.capture("setup", 1, {.by_person = true});
  REQUIRE(world.list().size() == 1);
  CHECK(world.list().front().proven);
}

TEST_CASE("settings that change beside a proven login leave it proven") {
  const World world;
  world.login(1);
  world.capture("setup", 2, {.by_person = true});
  for (int i = 1; i <= 3; ++i) {
    world.home.file(".claude.json", "{\"n\":" + std::to_string(i) + "}");
    world.capture("checkpoint", 2);
  }
  for (const Generation& generation : world.list()) CHECK(generation.proven);
}

TEST_CASE("a login that cannot be kept is not replaced") {
  const World world;
  world.login(1);
  world.capture("setup");
  world.store.file(".credentials.json", FakeLogin{.access = "FAKE-by-hand"}.text());
  REQUIRE(::rename(world.store.path(".claude-init/generations").c_str(), world.store.path("away").c_str()) ==
          0);
  world.store.file(".claude-init/generations", "in the way");
  world.login(2);
  const Store opened = test::open_store(world.store.path());
  const auto report =
      capture(state_in_home(world.home.path()), fs::current_identity(), opened, test::lock_store(opened), {});
  REQUIRE_FALSE(report.ok());
  CHECK(report.error().what.find("keep the login that is to be replaced") != std::string::npos);
  CHECK(login::access_token(world.store.read(".credentials.json")).reveal() == "FAKE-by-hand");
}

TEST_CASE("a generation can be restored, also over the better login that it was replaced by") {
  const World world;
  for (int i = 1; i <= 2; ++i) {
    world.login(i);
    world.capture("setup");
  }
  const Store opened = test::open_store(world.store.path());
  CHECK(open_generation(opened, 7).error().kind == ErrorKind::not_found);
  const auto generation = open_generation(opened, 1);
  REQUIRE(generation.ok());
  RestoreOptions options{.refresh_token = RefreshToken::copy, .keep_better_login = false};
  const auto report = restore(*generation, state_in_home(world.home.path()), fs::current_identity(), options);
  REQUIRE(report.ok());
  CHECK(report->files == 1);
  CHECK(login::access_token(world.home.read(".claude/.credentials.json")).reveal() == "FAKE-1");
  CHECK_FALSE(world.home.exists(".claude/.claude-init"));
}

TEST_CASE("what a killed capture left of a generation is no generation, and in nobody's way") {
  const World world;
  world.login(1);
  world.capture("setup");
  world.store.dir(".claude-init/generations/new");
  world.store.file(".claude-init/generations/new/.credentials.json", "half");
  world.store.dir(".claude-init/generations/007");
  CHECK(world.list().size() == 1);
  world.login(2);
  world.capture("setup");
  CHECK(world.list().size() == 2);
  CHECK_FALSE(world.store.exists(".claude-init/generations/new"));
}
