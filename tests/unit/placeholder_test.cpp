#include "login/placeholder.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "login/login.h"

using namespace claude_init;
using namespace claude_init::login;
using nlohmann::json;

namespace {

constexpr UnixMs kPlaceholderNow = 1'795'468'330'000;

json placeholder_of(const json& file) {
  const auto made = with_placeholder(file.dump());
  REQUIRE(made.ok());
  return json::parse(made->reveal());
}

}  // namespace

TEST_CASE("a placeholder's login has the deadlines, scopes and account of its login, and no token") {
  const json shown{{"expiresAt", kPlaceholderNow + kHour},
                   {"refreshTokenExpiresAt", kPlaceholderNow + kDay},
                   {"scopes", {"user:inference", "user:profile"}},
                   {"subscriptionType", "max"},
                   {"rateLimitTier", "default"},
                   {"accountUuid", "a"},
                   {"organizationUuid", "o"}};
  json oauth = shown;
  oauth.update({{"accessToken", "sk-ant-oat01-FAKE1"},
                {"refreshToken", "sk-ant-ort01-FAKE2"},
                {"unknown", {{"token", "FAKE3"}}},
                {"later", "FAKE4"}});
  const json made =
      placeholder_of({{"claudeAiOauth", oauth}, {"mcpOAuth", {{"x", {{"accessToken", "FAKE5"}}}}}});
  json expected = shown;
  expected["accessToken"] = kPlaceholder;
  CHECK(made == json{{"claudeAiOauth", expected}});
  const Judged judged = judge_file(made.dump(), kPlaceholderNow);
  CHECK(judged.state == State::usable);
  CHECK(is_placeholder(judged.access_token));
  CHECK_FALSE(judged.login->has_refresh_token);
}

TEST_CASE("a token is none of what a placeholder's login shows, wherever it stands") {
  const json made = placeholder_of({{"claudeAiOauth",
                                     {{"accessToken", "FAKE"},
                                      {"expiresAt", 1},
                                      {"subscriptionType", "sk-ant-oat01-FAKE"},
                                      {"scopes", {"a", {{"b", "FAKE"}}}},
                                      {"accountUuid", {{"x", "FAKE"}}}}}});
  CHECK(made["claudeAiOauth"]["accessToken"] == kPlaceholder);
  json others = made;
  others["claudeAiOauth"].erase("accessToken");
  CHECK(others.dump().find("FAKE") == std::string::npos);
}

TEST_CASE("there is no placeholder for a login that has no access token") {
  CHECK(placeholder_of(json::object()) == json::object());
  const json blank =
      placeholder_of({{"claudeAiOauth", {{"accessToken", ""}, {"refreshToken", ""}, {"expiresAt", 0}}}});
  CHECK(judge_file(blank.dump(), kPlaceholderNow).state == State::dead);
  CHECK_FALSE(with_placeholder("[1]").ok());
  CHECK_FALSE(with_placeholder("").ok());
}

TEST_CASE("of two placeholders the store's that is published is the one, whatever its deadline and account") {
  const auto file = [](UnixMs ends, const char* account) {
    return json{{"claudeAiOauth",
                 {{"accessToken", kPlaceholder},
                  {"expiresAt", ends},
                  {"scopes", {"user:inference"}},
                  {"accountUuid", account}}}}
        .dump();
  };
  const Rules published{.allow_account_change = true, .judged_before = true};
  const std::string old = file(kPlaceholderNow + 2 * kHour, "a");
  CHECK(compare(file(kPlaceholderNow + kHour, "a"), old, kPlaceholderNow, published).choice == Choice::take);
  CHECK(compare(file(kPlaceholderNow + kHour, "b"), old, kPlaceholderNow, published).choice == Choice::take);
  CHECK(compare(file(kPlaceholderNow + 3 * kHour, "a"), old, kPlaceholderNow, published).choice ==
        Choice::take);
  CHECK(compare(old, old, kPlaceholderNow, published).choice == Choice::same);
}
