#include "store/sealed.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "state_helpers.h"
#include "store/generations.h"
#include "store/inspect.h"
#include "store/layout.h"
#include "store/provenance.h"
#include "store/published.h"
#include "sync/capture.h"
#include "sync/publish.h"
#include "sync/restore.h"
#include "sync/settle.h"

using namespace claude_init;
using login::Choice;
using login::State;
using test::FakeLogin;
using test::TempDir;

namespace {

constexpr const char* kSealed = ".claude-init/sealed-login";
constexpr const char* kKey = "FAKE key, which is long enough for this";
constexpr const char* kOtherKey = "FAKE key, another one that is long enough";

seal::Key key_of(const char* text) {
  auto key = seal::Key::derive(Secret(std::string(text)));
  REQUIRE(key.ok());
  return std::move(*key);
}

store::StoreOptions with_key(const char* key, const char* old = nullptr) {
  store::StoreOptions options;
  std::optional<seal::Key> before;
  if (old != nullptr) before.emplace(key_of(old));
  if (key != nullptr) options.seal = std::make_shared<const seal::Seal>(key_of(key), std::move(before));
  return options;
}

/// A home with a CLI's state in it, and a store beside it.
struct SealedWorld {
  TempDir home;
  TempDir store;

  SealedWorld() { home.dir(".claude"); }

  [[nodiscard]] store::Store open(const char* key, const char* old = nullptr) const {
    auto opened = store::Store::open(store.path(), with_key(key, old));
    REQUIRE(opened.ok());
    return std::move(*opened);
  }
  [[nodiscard]] Result<sync::CaptureReport> capture(const FakeLogin& login, const char* key,
                                                    const char* old = nullptr) const {
    home.file(".claude/.credentials.json", login.text(), 0600);
    const store::Store opened = open(key, old);
    const lock::Lock lock = test::lock_store(opened);
    return sync::capture(store::state_in_home(home.path()), fs::current_identity(), opened, lock, {});
  }
  [[nodiscard]] Result<void> settle(const char* key, const char* old = nullptr) const {
    const store::Store opened = open(key, old);
    const lock::Lock lock = test::lock_store(opened);
    return sync::settle(opened, lock);
  }
  /// The refresh token of what a reader with this key sees.
  [[nodiscard]] std::string refresh_token(const char* key, const char* old = nullptr) const {
    const store::StateFile file = store::read_login(open(key, old));
    return file.text ? std::string(login::refresh_token(file.text->reveal()).reveal()) : "";
  }
  /// The files of the store in which this stands.
  [[nodiscard]] std::vector<std::string> files_with(const std::string& text) const {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(store.path())) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string content(std::istreambuf_iterator<char>(in), {});
      if (content.find(text) != std::string::npos) found.push_back(entry.path().string());
    }
    return found;
  }
};

const std::vector<std::string> kNowhere;

}  // namespace

TEST_CASE("a store with a key has no refresh token in any file, and gives it to who has the key") {
  const SealedWorld world;
  REQUIRE(world.capture({.access = "FAKE-access-1", .refresh = "FAKE-refresh-1"}, kKey).ok());
  REQUIRE(
      world.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .valid_for = 7'200'000}, kKey)
          .ok());
  CHECK(world.files_with("FAKE-refresh") == kNowhere);
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
  CHECK(world.refresh_token(nullptr).empty());
  // As a published store would have it.
  const store::StateFile whole = store::read_login(world.open(kKey));
  CHECK(world.store.read(".credentials.json") ==
        login::without_refresh_token(whole.text->reveal())->reveal());
  const auto generations = store::list_generations(world.open(kKey), unix_now());
  REQUIRE(generations.ok());
  REQUIRE(generations->size() == 2);
  for (const auto& generation : *generations) {
    CHECK(generation.sealed);
    CHECK(generation.login->has_refresh_token);
  }
  CHECK_FALSE(store::list_generations(world.open(nullptr), unix_now())->back().login->has_refresh_token);
}

TEST_CASE("without the key no login is put over a sealed one, and with it the better one is") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  const FakeLogin later{.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .valid_for = 7'200'000};
  for (const char* key : {static_cast<const char*>(nullptr), kOtherKey}) {
    const auto refused = world.capture(later, key);
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().kind == ErrorKind::usage);
    CHECK(refused.error().remedy.find("--seal-key") != std::string::npos);
    CHECK(world.refresh_token(kKey) == "FAKE-refresh-1");
  }
  // One that is not taken does not matter.
  CHECK(world.capture({.valid_for = 3'000'000}, nullptr).ok());
  CHECK(world.capture(later, kKey)->login.choice == Choice::take);
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
}

TEST_CASE("a store in plain is sealed as soon as there is a key, with all that it keeps") {
  const SealedWorld world;
  REQUIRE(world.capture({}, nullptr).ok());
  REQUIRE(
      world.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .valid_for = 7'200'000}, nullptr)
          .ok());
  world.store.dir(".claude-init/generations/new");
  world.store.file(".claude-init/generations/new/.credentials.json", FakeLogin{}.text(), 0600);
  world.store.dir(".claude-init/stage");
  world.store.file(".claude-init/stage/1-1", FakeLogin{}.text(), 0600);
  world.store.file(".credentials.json.tmp.12345678", FakeLogin{}.text(), 0600);
  CHECK(world.files_with("FAKE-refresh").size() == 6);
  CHECK_FALSE(sync::is_settled(world.open(kKey)));
  REQUIRE(world.settle(kKey).ok());
  CHECK(sync::is_settled(world.open(kKey)));
  CHECK(world.files_with("FAKE-refresh") == kNowhere);
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
  const auto first = store::open_generation(world.open(kKey), 1);
  REQUIRE(first.ok());
  CHECK(login::refresh_token(store::read_login(*first).text->reveal()).reveal() == "FAKE-refresh-1");
}

TEST_CASE("what was plain is overwritten where it lay, not only unlinked") {
  const SealedWorld world;
  REQUIRE(world.capture({}, nullptr).ok());
  std::vector<std::ifstream> open;
  for (const std::string& path : world.files_with("FAKE-refresh")) open.emplace_back(path, std::ios::binary);
  REQUIRE(open.size() == 2);  // the login and its generation
  REQUIRE(world.settle(kKey).ok());
  for (std::ifstream& file : open) {
    const std::string content(std::istreambuf_iterator<char>(file), {});
    CHECK(content.find("FAKE-refresh") == std::string::npos);
    CHECK_FALSE(content.empty());
  }
}

TEST_CASE("a plain file that is not what was sealed is derived again, and never counts") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  const std::string old_plain = world.store.read(".credentials.json");
  REQUIRE(
      world.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .valid_for = 7'200'000}, kKey)
          .ok());
  const std::string new_plain = world.store.read(".credentials.json");
  world.store.file(".credentials.json", old_plain, 0600);  // as after a crash between the two
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
  REQUIRE(world.settle(kKey).ok());
  CHECK(world.store.read(".credentials.json") == new_plain);
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
}

TEST_CASE("a login that a CLI has put into the plain file is sealed if it is the better one") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  const FakeLogin later{.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .valid_for = 7'200'000};
  world.store.file(".credentials.json", later.text(), 0600);
  REQUIRE(world.settle(kKey).ok());
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
  const FakeLogin worse{.access = "FAKE-access-3", .refresh = "FAKE-refresh-3", .valid_for = 1'000};
  world.store.file(".credentials.json", worse.text(), 0600);
  REQUIRE(world.settle(kKey).ok());
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
  CHECK(world.files_with("FAKE-refresh") == kNowhere);
}

TEST_CASE("what is sealed of a login beside Claude's comes back whole") {
  const SealedWorld world;
  const std::string text =
      R"({"claudeAiOauth":{"accessToken":"FAKE-a","refreshToken":"FAKE-refresh-1","expiresAt":9999999999999,)"
      R"("scopes":["user:inference"]},"mcpOAuth":{"s":{"accessToken":"FAKE-m","clientSecret":"FAKE-refresh-m"}}})";
  world.store.dir(".claude-init");
  world.store.file(".credentials.json", text, 0600);
  REQUIRE(world.settle(kKey).ok());
  CHECK(world.files_with("FAKE-refresh") == kNowhere);
  CHECK(store::read_login(world.open(kKey)).text->reveal() == text);
}

TEST_CASE(
    "a damaged sealed login is malformed, keeps its place until there is another, and offers the earlier "
    "ones") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  std::string bytes = world.store.read(kSealed);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  world.store.file(kSealed, bytes, 0600);
  const auto seen = store::inspect(world.store.path(), unix_now(), with_key(kKey));
  CHECK(seen.state == State::malformed);
  CHECK(seen.sealed);
  CHECK(seen.problem.find("damaged") != std::string::npos);
  CHECK(seen.remedy.find("history") != std::string::npos);
  REQUIRE(world.settle(kKey).ok());
  CHECK(world.store.read(kSealed) == bytes);
  const auto first = store::open_generation(world.open(kKey), 1);
  CHECK(login::refresh_token(store::read_login(*first).text->reveal()).reveal() == "FAKE-refresh-1");
  // Without the key, and with the refresh token withheld, nobody notices.
  CHECK(store::inspect(world.store.path(), unix_now()).state == State::usable);
  CHECK(world.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2"}, kKey)->login.choice ==
        Choice::take);
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-2");
}

TEST_CASE("with another key a store is unreadable, and nothing in it changes") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  const std::string before = world.store.read(kSealed);
  const auto seen = store::inspect(world.store.path(), unix_now(), with_key(kOtherKey));
  CHECK(seen.state == State::unreadable);
  CHECK(seen.problem.find("another key") != std::string::npos);
  CHECK(world.settle(kOtherKey).error().kind == ErrorKind::usage);
  CHECK_FALSE(store::check_opens(world.open(kOtherKey)).ok());
  CHECK(store::check_opens(world.open(kKey)).ok());
  CHECK(world.store.read(kSealed) == before);
}

TEST_CASE("a sealed login that lies in another store does not open there") {
  const SealedWorld one;
  const SealedWorld other;
  REQUIRE(one.capture({}, kKey).ok());
  REQUIRE(other.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2"}, kKey).ok());
  other.store.file(kSealed, one.store.read(kSealed), 0600);
  const auto problem = store::read_login(other.open(kKey)).problem;
  REQUIRE(problem.has_value());
  CHECK(problem->message().find("another store's") != std::string::npos);
}

TEST_CASE("a new key seals everything anew, also where that was cut off") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  REQUIRE(
      world.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .valid_for = 7'200'000}, kKey)
          .ok());
  const std::string by_old = world.store.read(".claude-init/generations/1/.claude-init/sealed-login");
  REQUIRE(world.settle(kOtherKey, kKey).ok());
  CHECK(world.refresh_token(kOtherKey) == "FAKE-refresh-2");
  CHECK_FALSE(store::check_opens(world.open(kKey)).ok());
  // As if it had ended after the first generation.
  const auto whole = store::open_generation(world.open(kOtherKey), 1);
  CHECK(store::read_login(*whole).text.has_value());
  CHECK(world.store.read(".claude-init/generations/1/.claude-init/sealed-login") != by_old);
  CHECK(sync::is_settled(world.open(kOtherKey)));
}

TEST_CASE("a sealed store that is taken over is sealed anew under its new name") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  REQUIRE(store::replace_id(world.open(nullptr)).ok());
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-1");
  CHECK_FALSE(sync::is_settled(world.open(kKey)));
  REQUIRE(world.settle(kKey).ok());
  CHECK(sync::is_settled(world.open(kKey)));
  CHECK(world.refresh_token(kKey) == "FAKE-refresh-1");
}

TEST_CASE("a sealed store is restored whole with its key only") {
  const SealedWorld world;
  REQUIRE(world.capture({}, kKey).ok());
  const TempDir to;
  sync::RestoreOptions options;
  options.refresh_token = store::RefreshToken::copy;
  const auto paths = store::state_in_config_dir(to.path("c"));
  const auto refused = sync::restore(world.open(nullptr), paths, fs::current_identity(), options);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::usage);
  REQUIRE(sync::restore(world.open(kKey), paths, fs::current_identity(), options).ok());
  CHECK(login::refresh_token(to.read("c/.credentials.json")).reveal() == "FAKE-refresh-1");
  options.refresh_token = store::RefreshToken::withhold;
  const auto without = store::state_in_config_dir(to.path("w"));
  REQUIRE(sync::restore(world.open(nullptr), without, fs::current_identity(), options).ok());
  CHECK(to.read("w/.credentials.json").find("FAKE-refresh") == std::string::npos);
  CHECK(to.read("w/.credentials.json").find("FAKE-access-1") != std::string::npos);
}

TEST_CASE("nothing is published into a sealed store, and what is published of one is not sealed") {
  const SealedWorld world;
  const SealedWorld other;
  REQUIRE(world.capture({}, kKey).ok());
  REQUIRE(other.capture({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2"}, kKey).ok());
  CHECK(sync::open_published(other.store.path(), world.open(kKey)).error().kind == ErrorKind::invalid);
  CHECK(other.refresh_token(kKey) == "FAKE-refresh-2");
  const TempDir published;
  REQUIRE(sync::open_published(published.path(), world.open(kKey)).ok());
  CHECK_FALSE(published.exists(kSealed));
}
