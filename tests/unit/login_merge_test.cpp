#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>

#include "login/login.h"
#include "login/merge.h"

using namespace claude_init;
using namespace claude_init::login;

namespace {

constexpr UnixMs kMergedAt = 1'000'000'000;

std::string entry(const std::string& name, UnixMs expires_at, const std::string& more = "") {
  return fmt::format(R"("{}":{{"accessToken":"FAKE-a{}","expiresAt":{}{}}})", name, expires_at, expires_at,
                     more);
}

std::string renewable(const std::string& name, UnixMs expires_at) {
  return entry(name, expires_at, fmt::format(R"(,"refreshToken":"FAKE-r{}")", expires_at));
}

std::string file(const std::string& claude, const std::string& others) {
  return R"({"claudeAiOauth":{"accessToken":")" + claude + R"("},"mcpOAuth":{)" + others + "}}";
}

std::string merged(const std::string& into, const std::string& from, MergeRules rules = {}) {
  rules.now = kMergedAt;
  const auto text = merge(into, from, rules);
  REQUIRE(text.ok());
  return std::string(text->reveal());
}

}  // namespace

TEST_CASE("Claude's login is taken or stays, and the others have nothing to do with it") {
  const std::string ours = file("a", renewable("one", kMergedAt + 5));
  const std::string theirs = file("b", renewable("one", kMergedAt + 4));
  CHECK(merged(ours, theirs, {.take_login = true}) == file("b", renewable("one", kMergedAt + 5)));
  CHECK(merged(ours, theirs) == ours);
  CHECK(merged(R"({"x":1})", theirs) == R"({"x":1,"mcpOAuth":{)" + renewable("one", kMergedAt + 4) + "}}");
}

TEST_CASE("of each other login the newer one is kept, and none is lost") {
  const std::string ours = file("a", renewable("one", kMergedAt + 5) + "," + renewable("two", kMergedAt + 5) +
                                         "," + renewable("three", kMergedAt));
  const std::string theirs = file("a", renewable("four", kMergedAt) + "," + renewable("two", kMergedAt + 6) +
                                           "," + renewable("one", kMergedAt + 4));
  const std::string both =
      file("a", renewable("one", kMergedAt + 5) + "," + renewable("two", kMergedAt + 6) + "," +
                    renewable("three", kMergedAt) + "," + renewable("four", kMergedAt));
  CHECK(merged(ours, theirs) == both);
  CHECK(merged(ours, theirs, {.prefer_from = true}) == both);
}

TEST_CASE("a copy that had its secrets withheld changes nothing, and a new login in it is seen") {
  const std::string ours = file("a", renewable("one", kMergedAt + 5));
  CHECK(merged(ours, file("a", entry("one", kMergedAt + 5)), {.prefer_from = true}) == ours);
  CHECK(merged(ours, file("a", entry("one", kMergedAt + 5, R"(,"seen":true)")), {.prefer_from = true}) ==
        ours);
  const std::string again = file("a", renewable("one", kMergedAt + 9));
  CHECK(merged(file("a", entry("one", kMergedAt + 5)), again) == again);
  CHECK(merged(again, file("a", entry("one", kMergedAt + 5)), {.prefer_from = true}) == again);
}

TEST_CASE("a deadline that no login has makes none the newer one") {
  const std::string ours = file("a", renewable("one", kMergedAt + 5));
  const std::string far = file("a", renewable("one", 8'640'000'000'000'000));
  CHECK(merged(ours, far) == ours);
  CHECK(merged(far, ours, {.prefer_from = true}) == ours);
}

TEST_CASE("a login that is not in a list is one, and is not mixed from two") {
  const std::string ours = R"({"other":{"accessToken":"a1","refreshToken":"r1","expiresAt":5}})";
  const std::string theirs = R"({"other":{"accessToken":"a2","refreshToken":"r2","expiresAt":6}})";
  CHECK(merged(ours, theirs) == theirs);
  CHECK(merged(theirs, ours, {.prefer_from = true}) == theirs);
  CHECK(merged(ours, R"({"other":{}})", {.prefer_from = true}) == ours);
}

TEST_CASE("what is no file of logins is not merged, and what is too much neither") {
  for (const char* text : {"", "[]", "7", "{\"a\":", "{\"a\":1}x"}) {
    CHECK_FALSE(merge("{}", text, {}).ok());
    CHECK_FALSE(merge(text, "{}", {}).ok());
  }
  const std::string large = R"({"a":")" + std::string(200'000, 'a') + "\"}";
  const std::string larger = R"({"b":")" + std::string(200'000, 'a') + "\"}";
  CHECK(merge(large, larger, {}).error().kind == ErrorKind::limit);
  CHECK(merged(R"({"a":1,"b":2,"a":3})", R"({"a":4})") == R"({"a":3,"b":2})");
}

TEST_CASE("a renewing CLI gets Claude's login and no other") {
  const std::string text = file("a", renewable("one", kMergedAt));
  CHECK(without_others(text)->reveal() == R"({"claudeAiOauth":{"accessToken":"a"}})");
}

TEST_CASE("other logins are named, with what renews them and their end") {
  const auto others = other_logins(
      file("a", renewable("one|12ab", kMergedAt) + "," + entry("two", kMergedAt + 1) + R"(,"three":{})"));
  REQUIRE(others.size() == 2);
  CHECK((others[0].name == "one" && others[0].renewable && others[0].expires_at == kMergedAt));
  CHECK((others[1].name == "two" && !others[1].renewable));
  CHECK(other_logins("no file").empty());
}

TEST_CASE("many logins side by side take no longer than few") {
  std::string text = "{\"mcpOAuth\":{";
  for (int i = 0; text.size() < 200'000; ++i) text += fmt::format("{}\"{}\":{{}}", i == 0 ? "" : ",", i);
  text += "}}";
  CHECK(merged(text, text) == text);
}
