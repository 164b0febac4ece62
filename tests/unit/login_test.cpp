#include "login/login.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <ctime>

using namespace claude_init;
using namespace claude_init::login;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;

struct Fields {
  std::string access = "FAKE-access-1";
  std::string refresh = "FAKE-refresh-1";
  UnixMs expires_at = kNow + 8 * kHour;
  std::string account = "11111111-aaaa";
  std::string more = "";  // further members of claudeAiOauth, with a leading comma
};

std::string file(const Fields& fields) {
  const std::string refresh =
      fields.refresh == "-" ? "" : fmt::format(R"("refreshToken":"{}",)", fields.refresh);
  return fmt::format(R"({{"claudeAiOauth":{{"accessToken":"{}",{}"expiresAt":{},"scopes":["user:inference"],)"
                     R"("subscriptionType":"max","accountUuid":"{}"{}}}}})",
                     fields.access, refresh, fields.expires_at, fields.account, fields.more);
}

Verdict compare_files(std::optional<std::string> source, std::optional<std::string> store, Rules rules = {}) {
  return compare(source, store, kNow, rules);
}

}  // namespace

TEST_CASE("a login is read with its deadlines, its scopes and its account") {
  const auto login =
      parse(file({.more = R"(,"refreshTokenExpiresAt":1797888000000,"organizationUuid":"org-1")"}));
  REQUIRE(login.ok());
  CHECK(login->has_access_token);
  CHECK(login->has_refresh_token);
  CHECK_FALSE(login->blanked);
  CHECK(login->expires_at == kNow + 8 * kHour);
  CHECK(login->refresh_expires_at == 1'797'888'000'000);
  CHECK(login->scopes == std::vector<std::string>{"user:inference"});
  CHECK(login->subscription == "max");
  CHECK(login->account_uuid == "11111111-aaaa");
  CHECK(login->organization_uuid == "org-1");
}

TEST_CASE("the state follows the two deadlines") {
  const auto state = [](const Fields& fields) { return judge_file(file(fields), kNow).state; };
  CHECK(state({}) == State::usable);
  CHECK(state({.refresh = "-"}) == State::usable);
  CHECK(state({.expires_at = kNow + 1}) == State::usable);
  CHECK(state({.expires_at = kNow}) == State::renewable);
  CHECK(state({.refresh = "-", .expires_at = kNow}) == State::expired);
  CHECK(state({.refresh = "", .expires_at = kNow}) == State::expired);
  const std::string ended = fmt::format(R"(,"refreshTokenExpiresAt":{})", kNow);
  const std::string lives = fmt::format(R"(,"refreshTokenExpiresAt":{})", kNow + 1);
  CHECK(state({.expires_at = kNow - 1, .more = lives}) == State::renewable);
  CHECK(state({.expires_at = kNow - 1, .more = ended}) == State::expired);
  CHECK(state({.expires_at = kNow + 1, .more = ended}) == State::usable);
  CHECK(state({.access = "", .refresh = "", .expires_at = 0}) == State::dead);
  CHECK(state({.access = "", .refresh = "-", .expires_at = 0}) == State::dead);
}

TEST_CASE("a login without scopes does not count as one, as the CLI sees it") {
  const std::string text = fmt::format(
      R"({{"claudeAiOauth":{{"accessToken":"FAKE","refreshToken":"FAKE","expiresAt":{}}}}})", kNow + 1);
  CHECK(judge_file(text, kNow).state == State::expired);
}

TEST_CASE("absent, null and wrong-typed members are told apart") {
  CHECK(judge_file("{}", kNow).state == State::missing);
  CHECK(judge_file(R"({"mcpOAuth":{"x":1}})", kNow).state == State::missing);
  CHECK(judge_file(R"({"claudeAiOauth":null})", kNow).state == State::missing);
  CHECK(judge_file(R"({"claudeAiOauth":{}})", kNow).state == State::missing);
  for (const char* bad :
       {R"({"claudeAiOauth":[]})", R"({"claudeAiOauth":{"accessToken":7}})",
        R"({"claudeAiOauth":{"expiresAt":"x"}})", R"({"claudeAiOauth":{"refreshToken":{}}})", "[]", "1",
        "null", R"("x")", "{}{}", R"({"a":})"}) {
    INFO(bad);
    CHECK(judge_file(bad, kNow).state == State::malformed);
  }
}

TEST_CASE("absurd deadlines are kept within what can be calculated with") {
  for (const char* number : {"1e308", "9223372036854775807", "18446744073709551615", "-5", "0.5"}) {
    INFO(number);
    const auto login = parse(fmt::format(R"({{"claudeAiOauth":{{"expiresAt":{}}}}})", number));
    REQUIRE(login.ok());
    CHECK(login->expires_at >= 0);
    CHECK(login->expires_at <= 8'640'000'000'000'000);
  }
  CHECK_FALSE(parse(R"({"claudeAiOauth":{"expiresAt":1e400}})").ok());
}

TEST_CASE("what is wrong with a file is said, and its content is never quoted") {
  const std::string whole = file({});
  for (std::size_t length = 0; length < whole.size(); ++length) {
    const Judged judged = judge_file(std::string_view(whole).substr(0, length), kNow);
    INFO(length);
    CHECK(judged.state == (length == 0 ? State::empty : State::malformed));
    CHECK_FALSE(judged.login.has_value());
    CHECK_FALSE(judged.problem.empty());
    CHECK(judged.problem.find("FAKE") == std::string::npos);
  }
  CHECK(judge_file(" \n", kNow).state == State::empty);
  CHECK(judge_file(std::string(64, '\0'), kNow).problem ==
        "it holds nothing but zero bytes, as after a power cut");
  CHECK(judge_file(std::string_view(whole).substr(0, 40), kNow).problem ==
        "it is cut off: its end is missing");
}

TEST_CASE("hostile files are refused without harm") {
  CHECK_FALSE(parse(std::string(200'000, '[')).ok());
  CHECK_FALSE(parse(R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}").ok());
  CHECK_FALSE(parse(R"({"a":")" + std::string(300'000, 'x') + R"("})").ok());
  CHECK_FALSE(parse("{\"a\":\"\xff\"}").ok());
  const std::string deep = R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  CHECK(account_email(whole(deep)).empty());
  CHECK_FALSE(is_json_object(whole(deep)));
}

TEST_CASE("a copy without refresh token keeps everything else, in its order") {
  const std::string text =
      R"({"zeta":{"refreshToken":"FAKE-of-another-service"},"claudeAiOauth":{"unknown":[1,{"b":2,"a":1}],)"
      R"("refreshToken":"FAKE-refresh","accessToken":"FAKE-access","refreshTokenExpiresAt":17,)"
      R"("refreshToken":"FAKE-again"},"alpha":18446744073709551615})";
  const auto copy = without_refresh_token(text);
  REQUIRE(copy.ok());
  CHECK(copy->reveal() ==
        R"({"zeta":{},"claudeAiOauth":{"unknown":[1,{"b":2,"a":1}],)"
        R"("accessToken":"FAKE-access","refreshTokenExpiresAt":17},"alpha":18446744073709551615})");
  const auto escaped = without_refresh_token(R"({"claudeAiOauth":{"refresh\u0054oken":"FAKE-refresh"}})");
  REQUIRE(escaped.ok());
  CHECK(escaped->reveal() == R"({"claudeAiOauth":{}})");
}

TEST_CASE("a deadline that is set back is the only change, and is there where there was none") {
  CHECK(with_deadline_passed(R"({"a":1,"claudeAiOauth":{"expiresAt":7,"x":[{}],"expiresAt":8}})")->reveal() ==
        R"({"a":1,"claudeAiOauth":{"x":[{}],"expiresAt":0}})");
  CHECK(with_deadline_passed(R"({"claudeAiOauth":{}, "b":{"expiresAt":9}})")->reveal() ==
        R"({"claudeAiOauth":{"expiresAt":0},"b":{"expiresAt":9}})");
}

TEST_CASE("what a login file costs grows with its length and no faster") {
  // Processor time, which other processes do not count in. A parser that looks at all siblings again for each
  // one takes more than sixteen times as long for four times as many.
  const auto cost = [](std::size_t siblings) {
    std::string text = R"({"a":[{})";
    for (std::size_t i = 0; i < siblings; ++i) text += ",{}";
    text += "]}";
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      const std::clock_t start = std::clock();
      CHECK(is_json_object(whole(text)));
      CHECK(account_email(whole(text)).empty());
      static_cast<void>(judge_file(text, kNow));
      best = std::min(best, static_cast<double>(std::clock() - start));
    }
    return best;
  };
  const double small = std::max(cost(20'000), 1000.0);
  CHECK(cost(80'000) < 10 * small);
  CHECK(judge_file("{\"a\":[" + std::string(80'000, '0') + "]}", kNow).state == State::malformed);
}

TEST_CASE("what is no login has no copy") {
  for (const char* bad : {"", "{", "[]", R"({"claudeAiOauth":["FAKE"]})"}) {
    INFO(bad);
    CHECK_FALSE(without_refresh_token(bad).ok());
  }
}

TEST_CASE("a login that does not work never replaces one that does") {
  const std::string good = file({});
  const std::vector<std::optional<std::string>> useless{std::nullopt,
                                                        "",
                                                        "{",
                                                        "{}",
                                                        file({.access = "", .refresh = "", .expires_at = 0}),
                                                        file({.refresh = "-", .expires_at = kNow - 1})};
  for (const auto& source : useless) {
    INFO(source.value_or("(missing)"));
    CHECK(compare_files(source, good).choice == Choice::keep_store);
    CHECK_FALSE(compare_files(source, good).reason.empty());
    CHECK(compare_files(good, source).choice == Choice::take);
    for (const auto& store : useless) {
      if (source && source == store) continue;
      CHECK(compare_files(source, store).choice == Choice::nothing);
    }
  }
  // Renewable is a login that works.
  const std::string renewable = file({.expires_at = kNow - 1});
  CHECK(compare_files(file({.access = "", .refresh = "", .expires_at = 0}), renewable).choice ==
        Choice::keep_store);
}

TEST_CASE("an older login never replaces a newer one") {
  const std::string older = file({});
  const std::string newer =
      file({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .expires_at = kNow + 9 * kHour});
  CHECK(compare_files(older, newer).choice == Choice::keep_store);
  CHECK(compare_files(older, newer).reason == "the captured one is older");
  CHECK(compare_files(newer, older).choice == Choice::take);
  CHECK(compare_files(older, older).choice == Choice::same);
}

TEST_CASE("a deadline that no token has is no sign of being newer") {
  const std::string known = file({});
  const std::string far =
      file({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .expires_at = 8'640'000'000'000'000});
  const std::string further =
      file({.access = "FAKE-access-3", .refresh = "FAKE-refresh-3", .expires_at = kNow + 25 * kHour});
  CHECK(compare_files(far, known).choice == Choice::keep_store);
  CHECK(compare_files(known, far).choice == Choice::take);
  CHECK(compare_files(further, far).choice == Choice::keep_store);
  CHECK(compare_files(known, further, {.store_proven = true}).choice == Choice::keep_store);
  CHECK(compare_files(far, std::nullopt).choice == Choice::take);
  CHECK(compare_files(known, far, {.judged_before = true}).choice == Choice::take);
  CHECK(compare_files(far, known, {.judged_before = true}).choice == Choice::take);
}

TEST_CASE("a login that a person has just made is newer than any other, and proven") {
  const std::string brief =
      file({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .expires_at = kNow + 1});
  for (const std::string& store :
       {file({}), file({.expires_at = 8'640'000'000'000'000}), file({.access = "", .refresh = ""})}) {
    const Verdict verdict = compare_files(brief, store, {.by_person = true});
    CHECK(verdict.choice == Choice::take);
    CHECK(verdict.proven);
  }
  // What the session was given was not made in it, nor was one that only has something more beside its
  // tokens.
  CHECK(compare_files(brief, file({}), {.given_access_token = "FAKE-access-2", .by_person = true}).choice ==
        Choice::same);
  const Verdict more =
      compare_files(file({.more = R"(,"rateLimitTier":"x")"}), file({}), {.by_person = true});
  CHECK((more.choice == Choice::take && !more.proven));
  CHECK_FALSE(compare_files(brief, std::nullopt).proven);
}

TEST_CASE("a login's own end that no login has is as good as unknown") {
  for (const auto& [days, known] : {std::pair{30, true}, std::pair{46, false}}) {
    const std::string text =
        file({.more = ",\"refreshTokenExpiresAt\":" + std::to_string(kNow + days * 24 * kHour)});
    CHECK(judge_file(text, kNow).login->refresh_expires_at.has_value() == known);
  }
}

TEST_CASE("a login without refresh token never replaces one that has it") {
  const std::string with = file({});
  const std::string newer_without =
      file({.access = "FAKE-access-2", .refresh = "-", .expires_at = kNow + 9 * kHour});
  CHECK(compare_files(newer_without, with).choice == Choice::keep_store);
  CHECK(compare_files(newer_without, with, {.allow_account_change = true}).choice == Choice::keep_store);
  CHECK(compare_files(newer_without, with).reason == "the captured one has no refresh token");
  CHECK(compare_files(newer_without, file({.refresh = "-"})).choice == Choice::take);
  CHECK(compare_files(newer_without, std::nullopt).choice == Choice::take);
}

TEST_CASE("the copy of a run or a renewal is not a change of the store's login") {
  const std::string store = file({});
  CHECK(compare_files(file({.refresh = "-"}), store).choice == Choice::same);
  CHECK(compare_files(file({.expires_at = 0}), store).choice == Choice::same);
  // Something was added beside the same tokens: that is one.
  CHECK(compare_files(file({.more = R"(,"rateLimitTier":"x")"}), store).choice == Choice::take);
}

TEST_CASE("another account's login is taken only where that is allowed") {
  const std::string store = file({});
  const std::string other = file({.access = "FAKE-access-2",
                                  .refresh = "FAKE-refresh-2",
                                  .expires_at = kNow + 9 * kHour,
                                  .account = "22222222-bbbb"});
  const Verdict refused = compare_files(other, store);
  CHECK(refused.choice == Choice::keep_store);
  CHECK(refused.reason == "the captured one belongs to another account");
  CHECK_FALSE(refused.account_changed);
  const Verdict taken = compare_files(other, store, {.allow_account_change = true});
  CHECK(taken.choice == Choice::take);
  CHECK(taken.account_changed);
  // The store's can no longer be used: nothing is lost, and the change is still said.
  const Verdict replaced = compare_files(other, file({.refresh = "-", .expires_at = kNow - 1}));
  CHECK(replaced.choice == Choice::take);
  CHECK(replaced.account_changed);
  // Not known to be another one.
  CHECK(compare_files(file({.access = "FAKE-access-2", .refresh = "FAKE-refresh-2", .account = ""}), store)
            .choice == Choice::take);
}

TEST_CASE("the account's address comes from .claude.json") {
  CHECK(account_email(whole(R"({"oauthAccount":{"emailAddress":"a@example.org"}})")) == "a@example.org");
  for (const char* without :
       {"", "{", "{}", "[]", R"({"oauthAccount":7})", R"({"oauthAccount":{"emailAddress":7}})"}) {
    INFO(without);
    CHECK(account_email(whole(without)).empty());
  }
}

TEST_CASE("a JSON object is told from everything else") {
  CHECK(is_json_object(whole("{}")));
  CHECK(is_json_object(whole(" \n{\"a\":[1]}\n")));
  for (const char* other : {"", " ", "[]", "1", "{", "{}x", "{\"a\"}"}) {
    INFO(other);
    CHECK_FALSE(is_json_object(whole(other)));
  }
}

TEST_CASE("every state has a name of its own") {
  CHECK(name_of(State::usable) == "usable");
  CHECK(name_of(State::renewable) == "renewable");
  CHECK(name_of(State::unreadable) == "unreadable");
  CHECK(name_of(State::no_store) == "no-store");
}
