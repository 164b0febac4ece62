#include "follow/follower.h"

#include <catch2/catch.hpp>
#include <cstdio>
#include <filesystem>

#include "login/login.h"
#include "loop.h"
#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::follow;
using namespace claude_init::loop;
using test::FakeLogin;
using test::run_for;
using test::run_until;
using test::TempDir;

namespace {

FakeLogin later() {
  return {"FAKE-access-2", "FAKE-refresh-2", "account-1", 7'200'000};
}

/// A store with a login and a copy that was given it.
struct Followed {
  explicit Followed(const FakeLogin& first = {}) {
    dir.dir("store", 0700);
    dir.dir("copy", 0700);
    put(first.text());
    dir.file("copy/.credentials.json", std::string(login::without_refresh_token(first.text())->reveal()),
             0600);
  }
  void begin() {
    follower.emplace(io, inotify,
                     Follower::Options{dir.path("store"), store::state_in_config_dir(dir.path("copy")),
                                       fs::current_identity(), store::RefreshToken::withhold,
                                       Milliseconds(1000), [this](UnixMs) { ++notices; }});
    follower->begin();
  }
  void start() {
    begin();
    follower->start();
  }
  void put(const std::string& text) const {
    dir.file("new", text, 0600);
    REQUIRE(std::rename(dir.path("new").c_str(), dir.path("store/.credentials.json").c_str()) == 0);
  }
  [[nodiscard]] std::string copy() const { return dir.read("copy/.credentials.json"); }
  [[nodiscard]] std::string token() const { return std::string(login::access_token(copy()).reveal()); }
  bool gets(const std::string& access_token) {
    return run_until(io, [&] { return token() == access_token; });
  }
  TempDir dir;
  boost::asio::io_context io{1};
  Inotify inotify{io};
  int notices = 0;
  std::optional<Follower> follower;
};

}  // namespace

TEST_CASE("a login that is put into the store is put into the copy without its refresh token") {
  Followed session;
  session.start();
  CHECK(session.follower->given_access_token().reveal() == "FAKE-access-1");
  session.put(later().text());
  REQUIRE(run_until(
      session.io, [&] { return session.token() == "FAKE-access-2"; }, Milliseconds(200)));
  CHECK(session.copy().find("FAKE-refresh") == std::string::npos);
  CHECK(session.dir.mode("copy/.credentials.json") == 0600);
  CHECK(session.follower->given_access_token().reveal() == "FAKE-access-2");
}

TEST_CASE("one that came between the restore and the start is found") {
  Followed session;
  session.put(later().text());
  session.start();
  CHECK(session.token() == "FAKE-access-2");
}

TEST_CASE("what was made in the copy or put into the store between the beginning and the start is found") {
  Followed made;
  made.begin();
  made.dir.file("copy/.credentials.json", later().text(), 0600);
  made.follower->start();
  CHECK(made.token() == "FAKE-access-2");
  CHECK(made.follower->given_access_token().reveal() == "FAKE-access-1");
  CHECK(made.follower->check_now());  // to be saved

  Followed put;
  put.begin();
  put.put(later().text());
  put.follower->start();
  CHECK(put.token() == "FAKE-access-2");
  CHECK_FALSE(put.follower->check_now());

  Followed beside;
  beside.begin();
  std::string text = FakeLogin{}.text();
  const std::string_view kept = R"("kept":1)";
  beside.put(text.replace(text.find(kept), kept.size(), R"("kept":2)"));
  beside.follower->start();
  CHECK(beside.copy().find(R"("kept":2)") != std::string::npos);
}

TEST_CASE("a logout between the beginning and the start is respected") {
  Followed session;
  session.begin();
  ::unlink(session.dir.path("copy/.credentials.json").c_str());
  session.follower->start();
  CHECK_FALSE(std::filesystem::exists(session.dir.path("copy/.credentials.json")));
}

TEST_CASE("broken, blanked and missing logins in the store leave the copy alone") {
  Followed session;
  session.start();
  const std::string before = session.copy();
  for (const std::string& text :
       {std::string(), later().text().substr(0, 50),
        std::string(
            R"({"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0,"scopes":["x"]}})")}) {
    session.put(text);
    run_for(session.io, Milliseconds(1000));
    CHECK(session.copy() == before);
  }
  ::unlink(session.dir.path("store/.credentials.json").c_str());
  run_for(session.io, Milliseconds(1000));
  CHECK(session.copy() == before);
  session.put(later().text());
  CHECK(session.gets("FAKE-access-2"));
}

TEST_CASE("a copy that was blanked is repaired, one with a login of its own is for its owner to save") {
  Followed session;
  session.start();
  session.dir.file("copy/.credentials.json", "", 0600);
  CHECK_FALSE(session.follower->check_now());
  CHECK(session.token() == "FAKE-access-1");
  session.dir.file("copy/.credentials.json", later().text(), 0600);
  CHECK(session.follower->check_now());
  CHECK(session.token() == "FAKE-access-2");
  // It was saved: from now on the store has the refresh token, and the copy does not.
  session.put(session.copy());
  session.follower->adopted();
  CHECK(run_until(session.io, [&] { return session.copy().find("FAKE-refresh") == std::string::npos; }));
  CHECK(session.token() == "FAKE-access-2");
}

TEST_CASE("a login that is made while an earlier one is saved is not taken for that one") {
  Followed session;
  session.start();
  session.dir.file("copy/.credentials.json", later().text(), 0600);
  CHECK(session.follower->check_now());
  session.put(later().text());
  const FakeLogin latest{"FAKE-access-3", "FAKE-refresh-3", "account-1", 9'000'000};
  session.dir.file("copy/.credentials.json", latest.text(), 0600);
  session.follower->adopted();
  CHECK(session.follower->check_now());
  CHECK(session.token() == "FAKE-access-3");
}

TEST_CASE("a login that nobody renews is looked at and told of once before its end") {
  FakeLogin brief;
  brief.valid_for = 1500;
  Followed session(brief);
  session.start();
  run_for(session.io, Milliseconds(499));
  CHECK(session.notices == 0);
  run_for(session.io, Milliseconds(1));
  CHECK(session.notices == 1);
  run_for(session.io, Milliseconds(20'000));
  CHECK(session.notices == 1);
}

TEST_CASE("a login that was renewed in time is not told of") {
  FakeLogin brief;
  brief.valid_for = 1500;
  Followed session(brief);
  session.start();
  session.put(later().text());
  REQUIRE(session.gets("FAKE-access-2"));
  run_for(session.io, Milliseconds(20'000));
  CHECK(session.notices == 0);
}
