#include "renew/schedule.h"

#include <catch2/catch.hpp>

#include "lock/lease.h"

using namespace claude_init;
using namespace claude_init::renew;

namespace {

constexpr Milliseconds kSecond{1000};
constexpr Milliseconds kOneMinute{kMinute};
constexpr Milliseconds kOneHour{kHour};
constexpr Milliseconds kBefore{45 * 60'000};
constexpr UnixMs kIssued = 1'800'000'000'000;

Deadlines lasting(Milliseconds lifetime) {
  return {kIssued + lifetime.count(), kIssued};
}

/// Milliseconds after the token was issued.
std::int64_t first_try(Milliseconds lifetime, double jitter) {
  return next_try(lasting(lifetime), {}, kBefore, kIssued, jitter) - kIssued;
}

}  // namespace

TEST_CASE("the lead is what was asked for, or half the lifetime") {
  CHECK(lead_of(lasting(8 * kOneHour), kBefore) == kBefore);
  CHECK(lead_of(lasting(kOneHour), kBefore) == 30 * kOneMinute);
  CHECK(lead_of(lasting(5 * kSecond), kBefore) == Milliseconds(2500));
  CHECK(lead_of(lasting(-kOneHour), kBefore) == Milliseconds(0));
  CHECK(lead_of(lasting(8 * kOneHour), Milliseconds(0)) == Milliseconds(0));
}

TEST_CASE("the first renewal comes within the lead, spread over its first quarter") {
  CHECK(first_try(8 * kOneHour, 0) == (8 * kOneHour - kBefore).count());
  CHECK(first_try(8 * kOneHour, 1) == (8 * kOneHour - kBefore * 3 / 4).count());
  CHECK(first_try(40 * kSecond, 0) == 20'000);
  CHECK(first_try(40 * kSecond, 1) == 25'000);
  CHECK(first_try(5 * kSecond, 1) == 3'125);
}

TEST_CASE("a login that has expired, or whose deadline is unknown, is due at once") {
  CHECK(next_try({kIssued - 1, kIssued}, {}, kBefore, kIssued, 1) <= kIssued);
  CHECK(next_try({0, kIssued}, {}, kBefore, kIssued, 1) <= kIssued);
  CHECK(next_try({kIssued - kOneHour.count(), kIssued - 9 * kOneHour.count()}, {}, kBefore, kIssued, 1) <=
        kIssued);
}

TEST_CASE("failures are followed by longer and longer pauses, never less than a minute") {
  const Deadlines login = lasting(8 * kOneHour);
  const UnixMs failed = login.expires_at - kBefore.count();
  std::int64_t before = 0;
  for (unsigned failures = 1; failures < 40; ++failures) {
    const std::int64_t pause = next_try(login, {failures, failed, 0}, kBefore, failed, 0) - failed;
    CHECK(pause >= kOneMinute.count());
    CHECK(pause >= before);
    CHECK(pause <= (kBefore / 2).count());
    before = pause;
  }
  CHECK(next_try(login, {1, failed, 0}, kBefore, failed, 0) - failed == kOneMinute.count());
  CHECK(next_try(login, {1, failed, 0}, kBefore, failed, 1) - failed == kOneMinute.count() * 5 / 4);
  CHECK(next_try(login, {4, failed, 0}, kBefore, failed, 0) - failed == 8 * kOneMinute.count());
}

TEST_CASE("as long as the token is valid there is another try before its end") {
  for (const Milliseconds lifetime : {5 * kSecond, 40 * kSecond, 60 * kSecond, kOneHour, 8 * kOneHour}) {
    const Deadlines login = lasting(lifetime);
    UnixMs now = next_try(login, {}, kBefore, kIssued, 1);
    unsigned tries = 1;
    for (History history; now < login.expires_at; ++tries) {
      history = {history.failures + 1, now, 0};
      const UnixMs next = next_try(login, history, kBefore, now, 1);
      REQUIRE(next > now);
      now = next;
    }
    INFO(lifetime.count());
    CHECK(tries >= 3);
    CHECK(tries <= 12);
  }
}

TEST_CASE("after expiry the pauses grow up to half an hour") {
  const Deadlines login = lasting(8 * kOneHour);
  const UnixMs failed = login.expires_at + 1;
  CHECK(next_try(login, {1, failed, 0}, kBefore, failed, 0) - failed == kOneMinute.count());
  CHECK(next_try(login, {30, failed, 0}, kBefore, failed, 0) - failed == 30 * kOneMinute.count());
}

TEST_CASE(
    "while somebody else renews, one looks again soon, often enough to see a lease's heart stand still") {
  const Deadlines login = lasting(8 * kOneHour);
  const UnixMs now = login.expires_at - kBefore.count();
  CHECK(next_try(login, {0, 0, 1}, kBefore, now, 0) - now == 5'000);
  CHECK(next_try(login, {0, 0, 20}, kBefore, now, 1) - now < 2 * store::LeaseTimes().beat.count());
  CHECK(next_try(lasting(5 * kSecond), {0, 0, 1}, kBefore, now, 0) - now == 312);
  CHECK(next_try(lasting(5 * kSecond), {0, 0, 20}, kBefore, now, 0) - now == 5'000);
}

TEST_CASE("a clock that is set only moves the deadlines with it") {
  const Deadlines login = lasting(8 * kOneHour);
  const UnixMs due = next_try(login, {}, kBefore, kIssued, 0.5);
  // Forward, as after a suspend: due. Back: the same time of the wall clock.
  CHECK(next_try(login, {}, kBefore, login.expires_at + 1, 0.5) == due);
  CHECK(next_try(login, {}, kBefore, kIssued - kOneHour.count(), 0.5) == due);
  // A failure that lies in the future now does not put the next try off.
  const UnixMs now = due - 10 * kOneHour.count();
  CHECK(next_try(login, {1, due, 0}, kBefore, now, 0) - now == kOneMinute.count());
}
