#include "store/store.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "store/inspect.h"
#include "sync/prepare.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using login::State;
using test::TempDir;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;

std::string credentials(UnixMs expires_at) {
  return fmt::format(
      R"({{"claudeAiOauth":{{"accessToken":"FAKE-a","refreshToken":"FAKE-r","expiresAt":{},"scopes":["user:inference"]}}}})",
      expires_at);
}

}  // namespace

TEST_CASE("a store is told from what is none") {
  const TempDir dir;
  CHECK(inspect(dir.path("missing"), kNow).state == State::no_store);
  dir.file("file", "x");
  const Inspection file = inspect(dir.path("file"), kNow);
  CHECK(file.state == State::no_store);
  CHECK_FALSE(file.is_directory);
  CHECK_FALSE(file.problem.empty());
  const auto opened = Store::open(dir.path("file"));
  REQUIRE_FALSE(opened.ok());
  CHECK(opened.error().kind == ErrorKind::invalid);
  CHECK_FALSE(opened.error().remedy.empty());
  dir.dir("empty");
  const Inspection empty = inspect(dir.path("empty"), kNow);
  CHECK(empty.state == State::missing);
  CHECK(empty.empty_directory);
  dir.dir("used");
  dir.file("used/settings.json", "{}");
  CHECK_FALSE(inspect(dir.path("used"), kNow).empty_directory);
}

TEST_CASE("the login of a store is judged, with its owner and mode, and nothing is changed") {
  const TempDir dir;
  dir.file(".credentials.json", credentials(kNow + 1000), 0640);
  dir.file(".claude.json", R"({"oauthAccount":{"emailAddress":"a@example.org"}})");
  const Inspection found = inspect(dir.path(), kNow);
  CHECK(found.state == State::usable);
  CHECK(found.email == "a@example.org");
  CHECK(found.problem.empty());
  CHECK((found.file_mode & 07777) == 0640);
  CHECK((found.mode & 07777) == 0755);
  CHECK(found.file_owner == fs::current_identity());
  REQUIRE(found.login);
  CHECK(found.login->expires_at == kNow + 1000);
  CHECK_FALSE(dir.exists(".claude-init"));
  CHECK(inspect(dir.path(), kNow + 2000).state == State::renewable);
  dir.file(".credentials.json", "");
  CHECK(inspect(dir.path(), kNow).state == State::empty);
  dir.file(".credentials.json", credentials(kNow).substr(0, 30));
  const Inspection cut = inspect(dir.path(), kNow);
  CHECK(cut.state == State::malformed);
  CHECK_FALSE(cut.problem.empty());
  CHECK(cut.problem.find("FAKE") == std::string::npos);
  CHECK_FALSE(cut.in_the_way);  // a capture may replace it
}

TEST_CASE("a login that is a FIFO, a directory or a link out of the store is not read") {
  const TempDir dir;
  const TempDir outside;
  outside.file("login", credentials(kNow + 1000));
  dir.fifo(".credentials.json");
  CHECK(inspect(dir.path(), kNow).state == State::malformed);
  CHECK(inspect(dir.path(), kNow).in_the_way);
  REQUIRE(::unlink(dir.path(".credentials.json").c_str()) == 0);
  dir.link(".credentials.json", outside.path("login"));
  const Inspection out = inspect(dir.path(), kNow);
  CHECK(out.state == State::malformed);
  CHECK(out.in_the_way);
  CHECK(out.problem == ".credentials.json is a link that points outside");
  CHECK_FALSE(out.login);
  REQUIRE(::unlink(dir.path(".credentials.json").c_str()) == 0);
  dir.dir("..1");
  dir.file("..1/.credentials.json", credentials(kNow + 1000));
  dir.link("..data", "..1");
  dir.link(".credentials.json", "..data/.credentials.json");
  CHECK(inspect(dir.path(), kNow).state == State::usable);
}

TEST_CASE("a store is read and written with its owner's rights, not with root's") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir dir;
  dir.file(".credentials.json", credentials(kNow + 1000), 0600);
  REQUIRE(::chown(dir.path().c_str(), 1234, 1235) == 0);
  const Inspection found = inspect(dir.path(), kNow);
  CHECK(found.state == State::unreadable);
  CHECK(found.file_owner == fs::Identity{0, 0});
  CHECK(found.owner == fs::Identity{1234, 1235});
  auto store = Store::open(dir.path());
  REQUIRE(store.ok());
  REQUIRE(sync::prepare(*store, 0).ok());
  CHECK(dir.stat(".claude-init").st_uid == 1234);
  CHECK(dir.mode(".claude-init") == 0700);
  CHECK_FALSE(dir.exists(".claude-init/probe"));
  REQUIRE(::chown(dir.path().c_str(), fs::overflow_uid(), 65534) == 0);
  CHECK(Store::open(dir.path())->owner() == fs::current_identity());
}

TEST_CASE("a setgid root makes everything readable for its group") {
  const TempDir dir;
  REQUIRE(::chmod(dir.path().c_str(), 02770) == 0);
  auto store = Store::open(dir.path());
  REQUIRE(store.ok());
  CHECK(store->group_readable());
  REQUIRE(sync::prepare(*store, 0).ok());
  CHECK(dir.mode(".claude-init") == 02750);
  CHECK(dir.mode(".claude-init/locks") == 0700);
}

TEST_CASE("a login is open to all where its own mode and those of all directories above it allow that") {
  const TempDir dir;
  dir.dir("above");
  dir.dir("above/store");
  const std::string store = dir.path("above/store");
  const auto open_with = [&](mode_t above, mode_t directory, mode_t file) {
    dir.file("above/store/.credentials.json", credentials(kNow + 1000), file);
    CHECK(::chmod(store.c_str(), directory) == 0);
    CHECK(::chmod(dir.path("above").c_str(), above) == 0);
    return inspect(store, kNow).open_to_all;
  };
  CHECK(open_with(0755, 0755, 0644));
  CHECK(open_with(0711, 0711, 0604));
  CHECK_FALSE(open_with(0755, 0755, 0640));
  CHECK_FALSE(open_with(0755, 0755, 0603));
  CHECK_FALSE(open_with(0755, 0700, 0644));
  CHECK_FALSE(open_with(0700, 0755, 0644));
}

TEST_CASE("a published store is told from others, until it has a refresh token") {
  const TempDir dir;
  CHECK_FALSE(inspect(dir.path(), kNow).published);
  dir.dir(".claude-init");
  dir.file(".claude-init/published", "");
  CHECK(inspect(dir.path(), kNow).published);
  dir.file(".credentials.json", credentials(kNow + 1000));
  CHECK_FALSE(inspect(dir.path(), kNow).published);
}

TEST_CASE("a store that cannot be written says so beforehand, with what to do") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir dir;
  dir.dir("disk");
  const test::Mounted disk(dir.path("disk"), "size=1m");
  if (!disk.ok()) {
    WARN("skipped: cannot mount");
    return;
  }
  auto store = Store::open(dir.path("disk"));
  REQUIRE(store.ok());
  CHECK(sync::prepare(*store, 100 << 10).ok());
  const auto too_much = sync::prepare(*store, 2 << 20);
  REQUIRE_FALSE(too_much.ok());
  CHECK(too_much.error().kind == ErrorKind::no_space);
  CHECK_FALSE(too_much.error().remedy.empty());
  REQUIRE(disk.make_read_only());
  store = Store::open(dir.path("disk"));
  REQUIRE(store.ok());
  const auto read_only = sync::prepare(*store, 0);
  REQUIRE_FALSE(read_only.ok());
  CHECK(read_only.error().kind == ErrorKind::read_only);
  CHECK_FALSE(read_only.error().remedy.empty());
  CHECK(inspect(dir.path("disk"), kNow).read_only);
}
