#include "keep/login_monitor.h"

#include <catch2/catch.hpp>

#include "store/inspect.h"

using namespace claude_init;
using namespace claude_init::keep;
using login::State;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;

store::Inspection seen(State state, UnixMs expires_at = kNow + 8 * kHour, UnixMs ends = kNow + 27 * kDay) {
  store::Inspection out;
  out.state = state;
  out.path = "/stores/dev";
  out.email = "a@example.org";
  out.login = login::Login{};
  out.login->has_access_token = out.login->has_refresh_token = true;
  out.login->expires_at = expires_at;
  out.login->refresh_expires_at = ends;
  out.login->account_uuid = "one";
  out.login->scopes = {"user:inference"};
  return out;
}

LoginMonitor record() {
  health::Context context;
  context.setup_command = "docker compose run --rm setup";
  return {"dev", context};
}

std::vector<Change> changes(const std::vector<Event>& news) {
  std::vector<Change> out;
  for (const Event& event : news) out.push_back(event.change);
  return out;
}

renew::Outcome failed(std::string_view cause, std::string reason) {
  return {renew::Outcome::Kind::failed, std::move(reason), "do this", cause};
}

using Changes = std::vector<Change>;

}  // namespace

TEST_CASE(
    "an expired login is told for what it is: its normal end, one without scopes, one without refresh token",
    "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable, kNow - 1, kNow), kNow - kHour);
  store::Inspection expired = seen(State::expired, kNow - 1, kNow);
  SECTION("its own end has passed") {
    const auto news = r.observe(expired, kNow);
    REQUIRE(changes(news) == Changes{Change::dead});
    CHECK(news[0].text == "the login has expired, as each does after about four weeks: nothing is broken");
    CHECK(news[0].remedy == "docker compose run --rm setup");
  }
  SECTION("the CLI does not accept it") {
    expired.login->scopes.clear();
    CHECK(r.observe(expired, kNow)[0].text == "expired: the CLI does not accept this login");
  }
  SECTION("nothing is left to renew it with") {
    expired.login->refresh_expires_at.reset();
    expired.login->has_refresh_token = false;
    CHECK(r.observe(expired, kNow)[0].text ==
          "expired: the access token has expired and nothing here can renew it");
  }
}

TEST_CASE("a login that the server rejects after its own end has come to that, and nothing else", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable, kNow + kHour, kNow), kNow - kHour);
  (void)r.tried({renew::Outcome::Kind::rejected, "it was ended elsewhere", "", "rejected"}, kNow);
  const auto news = r.observe(seen(State::usable, kNow + kHour, kNow), kNow);
  REQUIRE(changes(news) == Changes{
                               Change::dead,
                           });
  CHECK(news[0].text.starts_with(
      "the login has expired, as each does after about four weeks: nothing is broken; "
      "its access token is valid"));
}

TEST_CASE("a wait for a lock is told once, after some seconds, and is over with the first other outcome",
          "[keep]") {
  LoginMonitor r = record();
  const renew::Outcome busy{renew::Outcome::Kind::busy, "in use: python3\x1b (pid 7)", ""};
  CHECK(r.tried(busy, kNow).empty());
  CHECK_FALSE(r.begins_to_wait(kNow + 4'999));
  CHECK(r.waiting() == nullptr);
  CHECK(r.tried(busy, kNow + 4'000).empty());
  CHECK(r.begins_to_wait(kNow + 5'000));
  CHECK_FALSE(r.begins_to_wait(kNow + 6'000));
  REQUIRE(r.waiting() != nullptr);
  CHECK(r.waiting()->reason.find('\x1b') == std::string::npos);
  CHECK(r.waiting_since() == kNow);
  (void)r.tried({renew::Outcome::Kind::not_due, "", ""}, kNow + 7'000);
  CHECK(r.waiting() == nullptr);
  CHECK_FALSE(r.waiting_since());
  CHECK_FALSE(r.begins_to_wait(kNow + 20'000));
}

TEST_CASE("an access token that has ended and that nobody renews is told once, after some patience",
          "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable, kNow + 1), kNow);
  CHECK(r.observe(seen(State::renewable, kNow), kNow).empty());
  SECTION("somebody holds the lock for ever") {
    const std::string holder = "locked by run, pid 7";
    CHECK(r.tried({renew::Outcome::Kind::busy, holder, "wait for it"}, kNow + 1).empty());
    CHECK(r.next_look(kNow) == kNow + 5 * kMinute);
    CHECK(r.observe(seen(State::renewable, kNow), kNow + 5 * kMinute - 1).empty());
    const auto news = r.observe(seen(State::renewable, kNow), kNow + 5 * kMinute);
    REQUIRE(changes(news) == Changes{Change::failing});
    CHECK(news[0].text.ends_with("and has not been renewed: " + holder));
    CHECK(news[0].remedy == "wait for it");
    CHECK(r.failing_since() == kNow);
    CHECK(r.obstacle().reason == holder);
    CHECK(r.next_look(kNow + 5 * kMinute) == kNow + 20 * kDay);
    CHECK(r.observe(seen(State::renewable, kNow), kNow + kHour).empty());
    CHECK(changes(r.observe(seen(State::usable, kNow + 9 * kHour), kNow + kHour)) ==
          Changes{Change::recovered});
    CHECK_FALSE(r.failing_since());
    CHECK(r.obstacle().reason.empty());
  }
  SECTION("nobody knows why") {
    CHECK(r.observe(seen(State::renewable, kNow), kNow + kHour)[0].text.ends_with("has not been renewed"));
  }
  SECTION("a clock that is set back begins anew") {
    CHECK(r.observe(seen(State::renewable, kNow - kDay), kNow - kHour).empty());
    CHECK(r.next_look(kNow - kHour) == kNow - kHour + 5 * kMinute);
  }
  SECTION("a failure that was told is enough") {
    CHECK(changes(r.tried(failed("no-answer", "no answer"), kNow + 1)) == Changes{Change::failing});
    CHECK(r.observe(seen(State::renewable, kNow), kNow + kHour).empty());
  }
}

TEST_CASE("a keeper that does not renew says that it is that, when the access token has ended", "[keep]") {
  LoginMonitor r("dev", {}, false);
  CHECK(r.observe(seen(State::renewable, kNow), kNow).empty());
  const auto news = r.observe(seen(State::renewable, kNow), kNow + 5 * kMinute);
  REQUIRE(changes(news) == Changes{Change::failing});
  CHECK(news[0].text.find("--renew=never") != std::string::npos);
  CHECK_FALSE(r.obstacle().again);
}

TEST_CASE("a failing renewal's reason is kept, and another cause is news once", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK_FALSE(r.is_another_cause(failed("no-answer", "no answer")));  // that is told as `failing`
  (void)r.tried(failed("no-answer", "no answer"), kNow);
  CHECK(r.obstacle().reason == "no answer");
  CHECK(r.obstacle().remedy == "do this");
  CHECK(r.obstacle().again);
  CHECK_FALSE(r.is_another_cause(failed("no-answer", "no answer again")));
  CHECK(r.is_another_cause(failed("store", "it is full")));
  CHECK_FALSE(r.is_another_cause({renew::Outcome::Kind::busy, "", ""}));
  (void)r.tried(failed("store", "it is full"), kNow);
  CHECK(r.obstacle().reason == "it is full");
  (void)r.tried({renew::Outcome::Kind::busy, "somebody renews", ""}, kNow);
  CHECK(r.obstacle().reason == "it is full");
  (void)r.tried(failed("no-answer", "no answer"), kNow);
  CHECK_FALSE(r.is_another_cause(failed("store", "it is full")));
}

TEST_CASE("a refusal is not tried again, and its end is told", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK(r.allowed(kNow).empty());
  const renew::Outcome refused{renew::Outcome::Kind::refused, "it is a copy", "adopt it", "copied"};
  CHECK(changes(r.tried(refused, kNow)) == Changes{Change::failing});
  CHECK_FALSE(r.obstacle().again);
  SECTION("while its access token works") {
    CHECK(changes(r.allowed(kNow)) == Changes{Change::recovered});
    CHECK_FALSE(r.failing_since());
  }
  SECTION("while it waits: its renewal will tell") {
    (void)r.observe(seen(State::renewable), kNow + 8 * kHour);
    CHECK(r.allowed(kNow + 8 * kHour).empty());
    CHECK(r.obstacle().again);
    CHECK(changes(r.observe(seen(State::usable, kNow + 16 * kHour), kNow + 8 * kHour)) ==
          Changes{Change::recovered});
  }
}

TEST_CASE("another account is told across a time without a login", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  store::Inspection none;
  none.state = State::missing;
  (void)r.observe(none, kNow);
  store::Inspection other = seen(State::usable);
  other.login->account_uuid = "two";
  CHECK(changes(r.observe(other, kNow)) == Changes{Change::account_changed, Change::recovered});
}

TEST_CASE("a login that works is told once", "[keep]") {
  LoginMonitor r = record();
  CHECK(changes(r.observe(seen(State::usable), kNow)) == Changes{Change::usable});
  CHECK(r.observe(seen(State::usable), kNow + kHour).empty());
  CHECK(r.ready());
}

TEST_CASE("a store without a login is told once, with what to type, and its login as a recovery", "[keep]") {
  LoginMonitor r = record();
  store::Inspection none;
  none.state = State::missing;
  const auto news = r.observe(none, kNow);
  REQUIRE(changes(news) == Changes{Change::unusable});
  CHECK(news[0].remedy == "docker compose run --rm setup");
  CHECK(r.observe(none, kNow + 1).empty());
  CHECK(changes(r.observe(seen(State::usable), kNow + 2)) == Changes{Change::recovered});
}

TEST_CASE("a later access token is a renewal, whoever made it", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK(changes(r.observe(seen(State::usable, kNow + 16 * kHour), kNow + 7 * kHour)) ==
        Changes{Change::renewed});
  CHECK(r.last_renewal() == kNow + 7 * kHour);
  CHECK(r.renewals() == 0);  // not ours
  (void)r.tried({renew::Outcome::Kind::renewed, "", ""}, kNow);
  CHECK(r.renewals() == 1);
}

TEST_CASE("that a login cannot be published is told once, with what to type, and its end", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK(r.published({}, kNow).empty());
  const auto news = r.published({"it is another user's", "chown", true}, kNow);
  REQUIRE(changes(news) == Changes{Change::failing});
  CHECK(news[0].text == "the login cannot be published, retrying: it is another user's");
  CHECK(news[0].remedy == "chown");
  CHECK_FALSE(r.ready());
  CHECK(r.published({"it is full", "free some", true}, kNow).empty());
  CHECK(changes(r.published({}, kNow)) == Changes{Change::recovered});
  CHECK(r.ready());
}

TEST_CASE("only what we have renewed is called renewed: somebody may have logged in again", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  const auto theirs = r.observe(seen(State::usable, kNow + 9 * kHour), kNow + kHour);
  REQUIRE(theirs.size() == 1);
  CHECK(theirs[0].text.starts_with(
      "the login has a new access token: renewed elsewhere, or from a new login; "));
  (void)r.tried({renew::Outcome::Kind::renewed, "", ""}, kNow + 2 * kHour);
  const auto ours = r.observe(seen(State::usable, kNow + 10 * kHour), kNow + 2 * kHour);
  REQUIRE(ours.size() == 1);
  CHECK(ours[0].text.starts_with("the login has been renewed; "));
  CHECK(r.observe(seen(State::usable, kNow + 11 * kHour), kNow + 3 * kHour)[0].text.find("elsewhere") !=
        std::string::npos);
}

TEST_CASE("an access token that ran out and is renewed is no recovery", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable, kNow + 1), kNow);
  CHECK(r.observe(seen(State::renewable, kNow + 1), kNow + 1).empty());
  CHECK_FALSE(r.ready());
  CHECK(changes(r.observe(seen(State::usable, kNow + kHour), kNow + 2)) == Changes{Change::renewed});
}

TEST_CASE("a login that comes back with its access token ended is a recovery when that is renewed",
          "[keep]") {
  LoginMonitor r = record();
  store::Inspection none;
  none.state = State::no_store;
  CHECK(changes(r.observe(none, kNow)) == Changes{Change::unusable});
  CHECK(r.observe(seen(State::renewable, kNow), kNow + 1).empty());
  CHECK(changes(r.observe(seen(State::usable, kNow + kHour), kNow + 2)) == Changes{Change::recovered});
}

TEST_CASE("a rejection that the store could not record is told, until there is another login", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK(r.tried({renew::Outcome::Kind::rejected, "it said no", "", "rejected"}, kNow).empty());
  CHECK(changes(r.observe(seen(State::usable), kNow + 1)) == Changes{Change::dead});
  CHECK(r.seen().renewal_rejected);
  CHECK(r.observe(seen(State::renewable), kNow + 8 * kHour).empty());
  CHECK(r.outcome() == State::dead);
  store::Inspection none;
  none.state = State::no_store;
  CHECK(changes(r.observe(none, kNow + 8 * kHour)) == Changes{Change::unusable});
  CHECK(changes(r.observe(seen(State::usable), kNow + 8 * kHour)) == Changes{Change::dead});
  CHECK(changes(r.observe(seen(State::usable, kNow + 16 * kHour), kNow + 9 * kHour)) ==
        Changes{Change::recovered});
  CHECK_FALSE(r.seen().renewal_rejected);
}

TEST_CASE("failing renewals are told once, counted by kind, and recover", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK(changes(r.tried(failed("no-answer", "no answer"), kNow + 1)) == Changes{Change::failing});
  CHECK(r.tried(failed("timeout", "too slow"), kNow + 2).empty());
  CHECK(r.tried(failed("timeout", "too slow"), kNow + 3).empty());
  CHECK(r.failing_since() == kNow + 1);
  CHECK(r.failures() == std::map<std::string, std::uint64_t>{{"no-answer", 1}, {"timeout", 2}});
  CHECK(changes(r.observe(seen(State::usable, kNow + 9 * kHour), kNow + 4)) == Changes{Change::recovered});
  CHECK_FALSE(r.failing_since());
}

TEST_CASE("a dead login is told at once, with what mends it", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  const auto news = r.observe(seen(State::dead), kNow + 1);
  REQUIRE(changes(news) == Changes{Change::dead});
  CHECK(news[0].remedy == "docker compose run --rm setup");
  CHECK(r.observe(seen(State::dead), kNow + 2).empty());
  CHECK(changes(r.observe(seen(State::usable), kNow + 3)) == Changes{Change::recovered});
}

TEST_CASE("a login that the server has rejected is dead at once, and told once, though it still works",
          "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::usable), kNow);
  CHECK(
      r.tried({renew::Outcome::Kind::rejected, "it was ended elsewhere", "", "rejected"}, kNow + 1).empty());
  store::Inspection rejected = seen(State::usable);
  rejected.renewal_rejected = true;
  const auto news = r.observe(rejected, kNow + 1);
  REQUIRE(changes(news) == Changes{Change::dead});
  CHECK(news[0].text.find("it was ended elsewhere") != std::string::npos);
  CHECK(news[0].text.find("is valid until") != std::string::npos);
  CHECK(news[0].remedy == "docker compose run --rm setup");
  CHECK(r.remedy(kNow + 1) == "docker compose run --rm setup");
  CHECK_FALSE(r.ready());
  CHECK(r.failures() == std::map<std::string, std::uint64_t>{{"rejected", 1}});
  CHECK(r.observe(seen(State::dead), kNow + 9 * kHour).empty());
  CHECK(changes(r.observe(seen(State::usable, kNow + 20 * kHour), kNow + 10 * kHour)) ==
        Changes{Change::recovered});
}

TEST_CASE("renewals that fail are no news where there is no login to renew", "[keep]") {
  LoginMonitor r = record();
  store::Inspection none;
  none.state = State::no_store;
  (void)r.observe(none, kNow);
  CHECK(r.tried(failed("store", "there is no store"), kNow).empty());
  CHECK_FALSE(r.failing_since());
}

TEST_CASE("a store that cannot be read says what to do about that, not to log in", "[keep]") {
  LoginMonitor r = record();
  store::Inspection unreadable;
  unreadable.state = State::unreadable;
  unreadable.path = "/s";
  unreadable.owner = {1000, 1000};
  const auto news = r.observe(unreadable, kNow);
  REQUIRE(changes(news) == Changes{Change::unusable});
  CHECK(news[0].text.starts_with("unreadable: "));
  CHECK(news[0].remedy.find("setup") == std::string::npos);
  CHECK(news[0].remedy != "");
}

TEST_CASE("another account is told before what follows", "[keep]") {
  LoginMonitor r = record();
  (void)r.observe(seen(State::dead), kNow);
  store::Inspection other = seen(State::usable);
  other.login->account_uuid = "two";
  CHECK(changes(r.observe(other, kNow)) == Changes{Change::account_changed, Change::recovered});
  other.login->account_uuid = "three";
  other.login->expires_at += kHour;
  CHECK(changes(r.observe(other, kNow)) == Changes{Change::account_changed});  // and no renewal
}

TEST_CASE("the login's own end is told 7, 3 and 1 days ahead, each once", "[keep]") {
  LoginMonitor r = record();
  const UnixMs end = kNow + 8 * kDay;
  const auto at = [&](UnixMs left) { return changes(r.observe(seen(State::usable, kNow, end), end - left)); };
  CHECK(at(8 * kDay) == Changes{Change::usable});
  CHECK(at(7 * kDay + 1).empty());
  CHECK(at(7 * kDay) == Changes{Change::expiring});
  CHECK(at(6 * kDay).empty());
  CHECK(at(3 * kDay) == Changes{Change::expiring});
  CHECK(at(kDay) == Changes{Change::expiring});
  CHECK(at(kHour).empty());
}

TEST_CASE("a keeper that starts late gives one notice, not three; a new login starts anew", "[keep]") {
  LoginMonitor r = record();
  CHECK(changes(r.observe(seen(State::usable, kNow, kNow + kHour), kNow)) ==
        Changes{Change::usable, Change::expiring});
  CHECK(r.observe(seen(State::usable, kNow, kNow + 28 * kDay), kNow).empty());
  CHECK(changes(r.observe(seen(State::usable, kNow, kNow + 28 * kDay), kNow + 21 * kDay)) ==
        Changes{Change::expiring});
}

TEST_CASE("the next look is at what comes first", "[keep]") {
  LoginMonitor r = record();
  CHECK_FALSE(r.next_look(kNow));
  (void)r.observe(seen(State::usable, kNow + kHour, kNow + 8 * kDay), kNow);
  CHECK(r.next_look(kNow) == kNow + kHour);
  CHECK(r.next_look(kNow + kHour) == kNow + kDay);
  CHECK(r.next_look(kNow + 7 * kDay) == kNow + 8 * kDay);
  CHECK_FALSE(r.next_look(kNow + 8 * kDay));
}

TEST_CASE("the newest events are kept, and not more than twenty", "[keep]") {
  LoginMonitor r = record();
  for (int i = 0; i < 50; ++i) (void)r.observe(seen(i % 2 == 0 ? State::usable : State::dead), kNow + i);
  CHECK(r.events().size() == 20);
  CHECK(r.events().front().time == kNow + 49);
}
