#include "renew/renewal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "login/login.h"
#include "state_helpers.h"
#include "store/rejection.h"

using namespace claude_init;
using namespace claude_init::renew;
using Kind = Outcome::Kind;

namespace {

const std::string kConfig = "store/.claude-init/renewal/config/.credentials.json";

/// A store with a login of which a minute is left.
class RenewalTest {
 public:
  RenewalTest() {
    dir.dir("store", 0700);
    put(given.text());
  }
  void put(const std::string& text) const { dir.file("store/.credentials.json", text, 0600); }
  [[nodiscard]] std::variant<Renewal, Outcome> begin() const {
    return Renewal::begin(dir.path("store"), login::access_token(given.text()), "test");
  }
  [[nodiscard]] Renewal begun() const {
    auto begun = begin();
    REQUIRE(std::holds_alternative<Renewal>(begun));
    return std::move(std::get<Renewal>(begun));
  }
  void command_writes(const std::string& text) const { dir.file(kConfig, text, 0600); }
  void command_asks() const {  // the time of its directory tells it
    dir.dir("store/.claude-init/renewal/config.lock", 0700);
    struct stat st {};
    do {
      REQUIRE(::stat(dir.path("store/.claude-init/renewal").c_str(), &st) == 0);
      REQUIRE(::rmdir(dir.path("store/.claude-init/renewal/config.lock").c_str()) == 0);
      dir.dir("store/.claude-init/renewal/config.lock", 0700);
    } while (renewal_made() == st.st_mtim.tv_nsec);
  }
  [[nodiscard]] long renewal_made() const {
    struct stat st {};
    REQUIRE(::stat(dir.path("store/.claude-init/renewal").c_str(), &st) == 0);
    return st.st_mtim.tv_nsec;
  }
  [[nodiscard]] std::string stored() const {
    return std::string(login::access_token(dir.read("store/.credentials.json")).reveal());
  }
  [[nodiscard]] bool nothing_left() const { return !dir.exists("store/.claude-init/renewal"); }

  test::TempDir dir;
  test::FakeLogin given{"FAKE-access-1", "FAKE-refresh-1", "account-1", 60'000};
  test::FakeLogin renewed{"FAKE-access-2", "FAKE-refresh-2", "account-1", 3'600'000};
};

Ended exited(int status) {
  Ended ended;
  ended.change.number = status;
  return ended;
}

bool has(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

}  // namespace

TEST_CASE_METHOD(RenewalTest, "the command finds the login with its deadline passed, and nothing else") {
  const std::string before = dir.read("store/.credentials.json");
  dir.dir("store/.claude-init", 0700);
  dir.dir("store/.claude-init/renewal", 0700);
  dir.dir("store/.claude-init/renewal/config", 0700);
  dir.file("store/.claude-init/renewal/config/.claude.json", "{}");
  dir.dir("store/.claude-init/renewal/config.lock", 0700);
  const Renewal renewal = begun();
  const std::string due = dir.read(kConfig);
  const auto login = login::parse(due);
  REQUIRE(login.ok());
  CHECK(login->expires_at == 0);
  CHECK(login->has_refresh_token);
  CHECK(due.find(R"("unknown":{"kept":1})") != std::string::npos);
  CHECK(due.find("mcpOAuth") == std::string::npos);  // the logins of others are not its business
  CHECK(dir.exists("store/.claude-init/renewal/home"));
  CHECK_FALSE(dir.exists("store/.claude-init/renewal/config/.claude.json"));
  CHECK_FALSE(dir.exists("store/.claude-init/renewal/config.lock"));
  struct stat st {};
  REQUIRE(::stat(dir.path(kConfig).c_str(), &st) == 0);
  CHECK((st.st_mode & 0777) == 0600);
  CHECK(dir.read("store/.credentials.json") == before);
}

TEST_CASE_METHOD(RenewalTest, "the command gets the way to the server and nothing that hides the login") {
  const Renewal renewal = begun();
  const auto command = renewal.command(
      {"claude", "auth", "status"},
      {"PATH=/bin", "HTTPS_PROXY=http://proxy.test", "NODE_EXTRA_CA_CERTS=/ca.pem", "ANTHROPIC_API_KEY=FAKE",
       "CLAUDE_CODE_OAUTH_TOKEN=FAKE", "CLAUDE_CONFIG_DIR=/elsewhere", "HOME=/root",
       "CLAUDE_CODE_USE_BEDROCK=1", "DISABLE_TELEMETRY=0"});
  CHECK(command.argv == std::vector<std::string>{"claude", "auth", "status"});
  CHECK(command.env.size() == 12);
  CHECK(has(command.env, "DISABLE_TELEMETRY=1"));
  CHECK(has(command.env, "PATH=/bin"));
  CHECK(has(command.env, "HTTPS_PROXY=http://proxy.test"));
  CHECK(has(command.env, "NODE_EXTRA_CA_CERTS=/ca.pem"));
  CHECK(has(command.env, "HOME=" + dir.path("store/.claude-init/renewal/home")));
  CHECK(has(command.env, "CLAUDE_CONFIG_DIR=" + dir.path("store/.claude-init/renewal/config")));
}

TEST_CASE_METHOD(RenewalTest, "what the command renewed is in the store, whatever it ended with") {
  const std::string text = renewed.text();
  for (const int status : {0, 1}) {
    put(given.text());
    Renewal renewal = begun();
    command_writes(text);
    CHECK(renewal.finish({}, exited(status)).kind == Kind::renewed);
    CHECK(stored() == "FAKE-access-2");
    CHECK(dir.read("store/.credentials.json") == text);
    CHECK(nothing_left());
  }
}

TEST_CASE_METHOD(RenewalTest,
                 "a token that lives shorter than what was left of the old one is taken all the same") {
  renewed.valid_for = 1'000;
  Renewal renewal = begun();
  command_writes(renewed.text());
  CHECK(renewal.finish({}, exited(0)).kind == Kind::renewed);
  CHECK(stored() == "FAKE-access-2");
}

TEST_CASE_METHOD(RenewalTest, "a blanked login is rejected, never published, and remembered") {
  const std::string before = dir.read("store/.credentials.json");
  Renewal renewal = begun();
  command_writes(
      R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0,"scopes":["user:inference"]}})");
  CHECK(renewal.finish({}, exited(0)).kind == Kind::rejected);
  CHECK(dir.read("store/.credentials.json") == before);
  CHECK(nothing_left());
  const auto login = login::parse(before);
  CHECK(store::is_rejected(test::open_store(dir.path("store")).tree(), *login));
  CHECK(dir.read("store/.claude-init/status.json").find("FAKE") == std::string::npos);
}

TEST_CASE_METHOD(RenewalTest, "of a login that is rejected after its own end nobody is said to be to blame") {
  const bool ended = GENERATE(true, false);
  std::string text = given.text();
  text.insert(text.find("\"scopes\""),
              fmt::format("\"refreshTokenExpiresAt\":{},", unix_now() + (ended ? -1 : kDay)));
  put(text);
  Renewal renewal = begun();
  command_writes(R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}})");
  const Outcome outcome = renewal.finish({}, exited(0));
  CHECK(outcome.kind == Kind::rejected);
  CHECK((outcome.reason.find("nothing is broken") != std::string::npos) == ended);
  CHECK((outcome.reason.find("ended elsewhere") != std::string::npos) == !ended);
}

TEST_CASE_METHOD(RenewalTest, "another account's login is not published") {
  renewed.account = "account-2";
  Renewal renewal = begun();
  command_writes(renewed.text());
  const Outcome outcome = renewal.finish({}, exited(0));
  CHECK(outcome.kind == Kind::rejected);
  CHECK(outcome.reason.find("another account") != std::string::npos);
  CHECK(stored() == "FAKE-access-1");
  CHECK(nothing_left());
}

TEST_CASE_METHOD(RenewalTest, "without new tokens nothing has changed, and the reason tells what happened") {
  Ended killed;
  killed.change.kind = loop::ChildChange::Kind::killed;
  killed.change.number = SIGKILL;
  Ended late = killed;
  late.timed_out = true;
  const std::vector<std::pair<Ended, std::string>> endings{{exited(0), "did not ask"},
                                                           {exited(126), "cannot be executed"},
                                                           {exited(127), "not found"},
                                                           {killed, "SIGKILL"},
                                                           {late, "in time"}};
  for (const auto& [ended, words] : endings) {
    Renewal renewal = begun();
    const Outcome outcome = renewal.finish({}, ended);
    CHECK(outcome.kind == Kind::failed);
    CHECK(outcome.reason.find(words) != std::string::npos);
    CHECK(stored() == "FAKE-access-1");
    CHECK(nothing_left());
  }
}

TEST_CASE_METHOD(RenewalTest, "a command that took the CLI's lock has asked") {
  Renewal renewal = begun();
  command_asks();
  const Outcome outcome = renewal.finish({}, exited(1));
  CHECK(outcome.kind == Kind::failed);
  CHECK(outcome.cause == kNoAnswer);
  CHECK(outcome.reason.find("no usable answer") != std::string::npos);
}

TEST_CASE_METHOD(RenewalTest, "a version that does not tell a rejection is not taken at its word") {
  Renewal renewal = begun();
  command_asks();
  const Outcome outcome = renewal.finish({cli::renewing_command(), cli::Version{2, 1, 100}}, exited(1));
  CHECK(outcome.cause == kNoAnswer);
  CHECK(outcome.reason.find("2.1.100 does not tell") != std::string::npos);
}

TEST_CASE_METHOD(RenewalTest,
                 "a login that is rejected after a command asked and saved nothing was burnt by it") {
  const Tool tool{{"claude", "some", "thing"}, cli::Version{2, 1, 332}};
  {
    Renewal first = begun();
    command_asks();
    CHECK(first.finish(tool, exited(0)).cause == kNoAnswer);
  }
  Renewal second = begun();
  command_writes(R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}})");
  const Outcome outcome = second.finish({}, exited(1));
  CHECK(outcome.kind == Kind::rejected);
  CHECK(outcome.cause == kBurnt);
  CHECK(outcome.reason.find("'claude some thing (2.1.332)' spent") != std::string::npos);
  const auto store = test::open_store(dir.path("store"));
  const auto login = login::parse(dir.read("store/.credentials.json"));
  CHECK(store::rejection_of(store.tree(), *login) == store::Rejection::burnt);
  const auto unfit = why_unfit(tool, store::read_renewer_note(store.tree()));
  REQUIRE(unfit);
  CHECK(unfit->kind == Kind::failed);
  CHECK(unfit->reason.find("has cost this store a login") != std::string::npos);
  const Tool other_version{tool.words, cli::Version{2, 1, 333}};
  CHECK_FALSE(why_unfit(other_version, store::read_renewer_note(store.tree())));
  CHECK_FALSE(why_unfit({}, store::read_renewer_note(store.tree())));
}

TEST_CASE_METHOD(RenewalTest, "what another login was not answered to is nothing against this one") {
  {
    Renewal first = begun();
    command_asks();
    CHECK(first.finish({}, exited(1)).cause == kNoAnswer);
  }
  given.access = "FAKE-access-3";
  given.account = "account-3";
  put(given.text());
  Renewal second = begun();
  command_writes(R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}})");
  CHECK(second.finish({}, exited(1)).cause == "rejected");
}

TEST_CASE_METHOD(RenewalTest, "a renewal that was cut short may have spent the token") {
  { const Renewal killed = begun(); }
  Renewal next = begun();
  command_writes(R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}})");
  const Outcome outcome = next.finish({}, exited(1));
  CHECK(outcome.cause == kBurnt);
  CHECK(outcome.reason.find("cut short") != std::string::npos);
}

TEST_CASE_METHOD(RenewalTest, "a command that would burn is not run") {
  const auto unfit = why_unfit({{"claude", "auth", "status"}, cli::Version{2, 1, 260}}, {});
  REQUIRE(unfit);
  CHECK(unfit->kind == Kind::failed);
  CHECK(unfit->cause == "burns");
  CHECK(unfit->remedy.find("--renew-command") != std::string::npos);
  CHECK(unfit->remedy.find("2.1.330") != std::string::npos);
  CHECK_FALSE(why_unfit({{"claude", "auth", "status"}, cli::Version{2, 1, 332}}, {}));
  CHECK_FALSE(why_unfit({{"claude", "auth", "status"}, std::nullopt}, {}));
  Renewal renewal = begun();
  renewal.abandon();
  CHECK(nothing_left());
}

TEST_CASE_METHOD(RenewalTest, "damaged or missing files are no renewal") {
  for (const char* text : {"", "{", "{}", R"({"claudeAiOauth":{"accessToken":"FAKE-x","scopes":["a"]}})"}) {
    INFO(text);
    Renewal renewal = begun();
    command_writes(text);
    CHECK(renewal.finish({}, exited(0)).kind == Kind::failed);
    CHECK(stored() == "FAKE-access-1");
  }
  Renewal renewal = begun();
  REQUIRE(::unlink(dir.path(kConfig).c_str()) == 0);
  CHECK(renewal.finish({}, exited(0)).kind == Kind::failed);
  CHECK(stored() == "FAKE-access-1");
}

TEST_CASE_METHOD(RenewalTest, "only one renews at a time") {
  const Renewal renewal = begun();
  const auto second = begin();
  REQUIRE(std::holds_alternative<Outcome>(second));
  CHECK(std::get<Outcome>(second).kind == Kind::busy);
}

TEST_CASE_METHOD(RenewalTest, "a CLI that works in the store itself and renews it is waited for") {
  for (const std::string lock : {"store/.oauth_refresh.lock", "store.lock"}) {
    dir.dir(lock, 0755);
    const auto met = begin();
    REQUIRE(std::holds_alternative<Outcome>(met));
    CHECK(std::get<Outcome>(met).kind == Kind::busy);
    CHECK(nothing_left());
    REQUIRE(::rmdir(dir.path(lock).c_str()) == 0);
  }
  const Renewal renewal = begun();
  CHECK_FALSE(dir.exists("store/.oauth_refresh.lock"));
  CHECK_FALSE(dir.exists("store.lock"));
}

TEST_CASE_METHOD(RenewalTest, "what is renewed already, or cannot be, is not due") {
  for (const std::string& text :
       {renewed.text(), std::string(R"({"claudeAiOauth":{"accessToken":"FAKE-access-1","scopes":["a"]}})"),
        std::string("{}"), std::string("broken")}) {
    INFO(text);
    put(text);
    const auto begun = begin();
    REQUIRE(std::holds_alternative<Outcome>(begun));
    CHECK(std::get<Outcome>(begun).kind == Kind::not_due);
    CHECK(nothing_left());
  }
}

TEST_CASE_METHOD(RenewalTest,
                 "a renewal that was cut short after the command had written is published by the next") {
  {
    const Renewal cut_short = begun();
    command_writes(renewed.text());
  }
  const auto next = begin();
  REQUIRE(std::holds_alternative<Outcome>(next));
  CHECK(std::get<Outcome>(next).kind == Kind::renewed);
  CHECK(stored() == "FAKE-access-2");
  CHECK(nothing_left());
}

TEST_CASE_METHOD(RenewalTest, "a renewal that was cut short before that leaves nothing that counts") {
  { const Renewal cut_short = begun(); }
  const Renewal next = begun();
  CHECK(login::access_token(dir.read(kConfig)).reveal() == "FAKE-access-1");
}

TEST_CASE_METHOD(RenewalTest, "tokens that cannot be published now are kept for the next") {
  {
    Renewal renewal = begun();
    command_writes(renewed.text());
    const auto store = test::open_store(dir.path("store"));
    const auto held = test::lock_store(store);
    CHECK(renewal.finish({}, exited(0)).kind == Kind::busy);
    CHECK(stored() == "FAKE-access-1");
  }
  const auto next = begin();
  REQUIRE(std::holds_alternative<Outcome>(next));
  CHECK(std::get<Outcome>(next).kind == Kind::renewed);
  CHECK(stored() == "FAKE-access-2");
}

TEST_CASE_METHOD(RenewalTest, "tokens that cannot be read now are kept for the next") {
  if (::geteuid() != 0) return;
  REQUIRE(::chown(dir.path("store").c_str(), 1000, 1000) == 0);
  REQUIRE(::chown(dir.path("store/.credentials.json").c_str(), 1000, 1000) == 0);
  {
    Renewal renewal = begun();
    command_writes(renewed.text());
    REQUIRE(::chown(dir.path(kConfig).c_str(), 0, 0) == 0);
    CHECK(renewal.finish({}, exited(0)).kind == Kind::failed);
  }
  const auto unread = begin();
  REQUIRE(std::holds_alternative<Outcome>(unread));
  CHECK(std::get<Outcome>(unread).kind == Kind::failed);
  REQUIRE(::chown(dir.path(kConfig).c_str(), 1000, 1000) == 0);
  const auto next = begin();
  REQUIRE(std::holds_alternative<Outcome>(next));
  CHECK(std::get<Outcome>(next).kind == Kind::renewed);
  CHECK(stored() == "FAKE-access-2");
}

TEST_CASE_METHOD(RenewalTest, "a login that somebody made meanwhile is not replaced by what was renewed") {
  test::FakeLogin made{"FAKE-access-3", "FAKE-refresh-3", "account-1", 1'800'000};
  Renewal renewal = begun();
  command_writes(renewed.text());
  put(made.text());
  CHECK(renewal.finish({}, exited(0)).kind == Kind::not_due);
  CHECK(stored() == "FAKE-access-3");
  CHECK(nothing_left());
}

TEST_CASE_METHOD(RenewalTest, "a store that cannot be written is not renewed") {
  REQUIRE(::chmod(dir.path("store").c_str(), 0500) == 0);
  if (::geteuid() == 0) REQUIRE(::chown(dir.path("store").c_str(), 1000, 1000) == 0);
  const auto begun = begin();
  REQUIRE(std::holds_alternative<Outcome>(begun));
  CHECK(std::get<Outcome>(begun).kind == Kind::failed);
  CHECK_FALSE(std::get<Outcome>(begun).reason.empty());
}

TEST_CASE_METHOD(RenewalTest, "a store that was copied from elsewhere is not renewed") {
  { const Renewal gives_it_an_identity = begun(); }
  REQUIRE(std::system(("cp -a " + dir.path("store") + " " + dir.path("copy")).c_str()) == 0);
  const auto begun_there = Renewal::begin(dir.path("copy"), login::access_token(given.text()), "test");
  REQUIRE(std::holds_alternative<Outcome>(begun_there));
  CHECK(std::get<Outcome>(begun_there).kind == Kind::refused);
  CHECK(std::get<Outcome>(begun_there).remedy.find("--adopt") != std::string::npos);
  const auto again = begin();
  CHECK(std::holds_alternative<Renewal>(again));
}
