#include "follow/login_sync.h"

#include <catch2/catch.hpp>

#include "login/login.h"
#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::follow;
using store::RefreshToken;
using test::FakeLogin;

namespace {

constexpr const char* kBlanked =
    R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0,"scopes":["user:inference"]}})";

struct Case {
  std::optional<std::string> store;
  std::optional<std::string> copy;
  std::string given = "FAKE-access-1";
  bool changed = false;
  RefreshToken refresh_token = RefreshToken::withhold;

  [[nodiscard]] Move decide() const {
    return follow::decide({store, copy, changed, given, refresh_token}, unix_now());
  }
};

std::string withheld(const FakeLogin& login) {
  return std::string(login::without_refresh_token(login.text())->reveal());
}

FakeLogin later() {
  return {"FAKE-access-2", "FAKE-refresh-2", "account-1", 7'200'000};
}

}  // namespace

TEST_CASE("what does not work in the store is never given") {
  for (const std::optional<std::string>& broken :
       {std::optional<std::string>(), std::optional<std::string>(""), std::optional<std::string>(kBlanked),
        std::optional<std::string>(later().text().substr(0, 60)), std::optional<std::string>("{}")}) {
    for (const std::optional<std::string>& copy :
         {std::optional<std::string>(), std::optional<std::string>(""), std::optional<std::string>(kBlanked),
          std::optional<std::string>(withheld({}))}) {
      CHECK(Case{broken, copy, "FAKE-access-1", true}.decide() == Move::nothing);
    }
  }
}

TEST_CASE("a copy follows the store's login") {
  CHECK(Case{later().text(), withheld({})}.decide() == Move::give);
  CHECK(Case{later().text(), withheld(later())}.decide() == Move::nothing);
  // What was written beside the same access token.
  CHECK(Case{later().text(), withheld(later()), "FAKE-access-2", true}.decide() == Move::give);
}

TEST_CASE("a copy that was blanked or damaged is given the store's, one that was logged out is not") {
  for (const char* broken : {kBlanked, "", "{\"claudeAiOauth\":{\"acc"}) {
    CHECK(Case{later().text(), broken}.decide() == Move::give);
  }
  CHECK(Case{later().text(), std::nullopt}.decide() == Move::nothing);
  CHECK(Case{later().text(), std::nullopt, "FAKE-access-1", true}.decide() == Move::give);
}

TEST_CASE("an access token that has ended does not replace one that works") {
  FakeLogin ended = later();
  ended.valid_for = -1000;
  CHECK(Case{ended.text(), withheld({})}.decide() == Move::nothing);
  FakeLogin both = {};
  both.valid_for = -2000;
  CHECK(Case{ended.text(), withheld(both)}.decide() == Move::give);
}

TEST_CASE("a login that was made in the copy is to be saved, and not taken away") {
  FakeLogin other = later();
  other.account = "account-2";
  for (const FakeLogin& made : {later(), other}) {
    CHECK(Case{FakeLogin{}.text(), made.text()}.decide() == Move::save);
    CHECK(Case{FakeLogin{}.text(), made.text(), "FAKE-access-1", true}.decide() == Move::save);
    CHECK(Case{std::nullopt, made.text()}.decide() == Move::save);
    CHECK(Case{kBlanked, made.text()}.decide() == Move::save);
  }
  FakeLogin ended = later();
  ended.valid_for = -1000;
  CHECK(Case{FakeLogin{}.text(), withheld(ended)}.decide() == Move::give);
}

TEST_CASE("once it is stored, a copy has the refresh token only where it is to have it") {
  const std::string full = later().text();
  CHECK(Case{full, full, "FAKE-access-2"}.decide() == Move::give);
  CHECK(Case{full, full, "FAKE-access-2", false, RefreshToken::copy}.decide() == Move::nothing);
  CHECK(Case{full, withheld(later()), "FAKE-access-2", false, RefreshToken::copy}.decide() == Move::give);
  // A published store has none to give.
  CHECK(Case{withheld(later()), withheld(later()), "FAKE-access-2", false, RefreshToken::copy}.decide() ==
        Move::nothing);
}

TEST_CASE("what is given is the store's text, or that without its refresh token and nothing else") {
  const std::string full = later().text();
  CHECK(text_to_give(full, std::nullopt, RefreshToken::copy)->reveal() == full);
  const auto text = text_to_give(full, std::nullopt, RefreshToken::withhold);
  CHECK(text->reveal().find("FAKE-refresh") == std::string::npos);
  CHECK(text->reveal().find("\"unknown\":{\"kept\":1}") != std::string::npos);
  CHECK_FALSE(text_to_give("no login", std::nullopt, RefreshToken::withhold).ok());
}

TEST_CASE("a login of another service that was made in the copy stays in it when Claude's is replaced") {
  const std::string made =
      R"({"claudeAiOauth":{"accessToken":"FAKE-old"},"mcpOAuth":{"one":{"refreshToken":"FAKE-r"}}})";
  const auto text = text_to_give(later().text(), made, RefreshToken::withhold);
  REQUIRE(text.ok());
  CHECK(text->reveal().find("FAKE-access-2") != std::string::npos);
  CHECK(text->reveal().find("FAKE-refresh-2") == std::string::npos);
  CHECK(text->reveal().find("FAKE-r\"") != std::string::npos);
  const std::string store = later().text();  // once: its deadline is that of now
  CHECK(text_to_give(store, "no login", RefreshToken::withhold)->reveal() ==
        login::without_refresh_token(store)->reveal());
}
