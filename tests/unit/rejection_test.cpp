#include "store/rejection.h"

#include <catch2/catch.hpp>

#include "temp_dir.h"

using namespace claude_init;

namespace {

login::Login login_of(UnixMs expires_at, const std::string& account) {
  login::Login login;
  login.expires_at = expires_at;
  login.account_uuid = account;
  return login;
}

}  // namespace

TEST_CASE("a rejected login is remembered, and another one is not it") {
  const test::TempDir dir;
  dir.dir("store", 0700);
  const auto store = store::Store::open(dir.path("store"));
  REQUIRE(store.ok());
  const login::Login login = login_of(1000, "a");
  CHECK_FALSE(store::is_rejected(store->tree(), login));
  REQUIRE(store::record_rejection(*store, login, store::Rejection::by_server, 2000).ok());
  CHECK(store::is_rejected(store->tree(), login));
  CHECK_FALSE(store::is_rejected(store->tree(), login_of(1001, "a")));
  CHECK_FALSE(store::is_rejected(store->tree(), login_of(1000, "b")));
  REQUIRE(store::record_rejection(*store, login_of(3000, ""), store::Rejection::burnt, 4000).ok());
  CHECK_FALSE(store::is_rejected(store->tree(), login));
  CHECK(store::is_rejected(store->tree(), login_of(3000, "")));
}

TEST_CASE("a login that a renewal has cost is told from one that the server ended") {
  const test::TempDir dir;
  dir.dir("store", 0700);
  const auto store = store::Store::open(dir.path("store"));
  REQUIRE(store.ok());
  const login::Login login = login_of(1000, "a");
  CHECK(store::rejection_of(store->tree(), login) == store::Rejection::none);
  for (const auto why : {store::Rejection::by_server, store::Rejection::burnt}) {
    REQUIRE(store::record_rejection(*store, login, why, 2000).ok());
    CHECK(store::rejection_of(store->tree(), login) == why);
  }
}

TEST_CASE("a record that cannot be understood rejects nothing") {
  const test::TempDir dir;
  dir.dir("store", 0700);
  dir.dir("store/.claude-init", 0700);
  const auto store = store::Store::open(dir.path("store"));
  REQUIRE(store.ok());
  for (const char* text : {"", "{", "[]", "{\"rejected\":1}", "{\"rejected\":{\"expires_at\":\"1000\"}}"}) {
    INFO(text);
    dir.file("store/.claude-init/status.json", text, 0600);
    CHECK_FALSE(store::is_rejected(store->tree(), login_of(1000, "")));
  }
}
