#include "sync/ordered_work.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <numeric>
#include <set>
#include <thread>

using namespace claude_init;
using sync::OrderedWork;

namespace {

void sleep_for(unsigned ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
}

/// Waits for it; false after a minute.
template <class F>
bool comes(F done) {
  for (unsigned ms = 0; ms < 60'000; ++ms) {
    if (done()) return true;
    sleep_for(1);
  }
  return false;
}

}  // namespace

TEST_CASE("what follows from each piece of work follows in order and on our thread") {
  const unsigned threads = GENERATE(0U, 1U, 3U);
  const auto us = std::this_thread::get_id();
  std::vector<int> settled;
  std::vector<int> expected(200);
  std::iota(expected.begin(), expected.end(), 0);
  std::atomic<int> worked = 0;
  {
    OrderedWork work(threads, [] {});
    for (int i = 0; i < 200; ++i) {
      const auto given = work.give(
          [&, i](unsigned worker) {
            if (i % 50 == 0) sleep_for(20);  // those behind it are done first
            if (worker <= threads) ++worked;
          },
          [&, i]() -> Result<void> {
            if (std::this_thread::get_id() == us) settled.push_back(i);
            return Done{};
          });
      REQUIRE(given.ok());
    }
    CHECK(work.finish().ok());
  }
  CHECK(worked == 200);
  CHECK(settled == expected);
}

TEST_CASE("several pieces of work are done at the same time") {
  std::atomic<int> running = 0;
  std::atomic<int> most = 0;
  OrderedWork work(3, [] {});
  for (int i = 0; i < 40; ++i) {
    const auto piece = [&](unsigned) {
      const int now = ++running;
      if (now > most) most = now;
      comes([&] { return most > 1; });
      --running;
    };
    REQUIRE(work.give(piece, [] { return Result<void>(Done{}); }).ok());
  }
  REQUIRE(work.finish().ok());
  CHECK(most > 1);
}

TEST_CASE("an error of what followed is returned, and the rest is dropped at the end") {
  std::atomic<int> begun = 0;
  int followed = 0;
  {
    OrderedWork work(2, [] {});
    Result<void> end = Done{};
    for (int i = 0; i < 100 && end; ++i) {
      end = work.give(
          [&](unsigned) {
            ++begun;
            sleep_for(1);
          },
          [&, i]() -> Result<void> {
            ++followed;
            if (i == 3) return make_error(ErrorKind::limit, "enough");
            return Done{};
          });
    }
    REQUIRE_FALSE(end.ok());
    CHECK(end.error().kind == ErrorKind::limit);
  }
  CHECK(followed == 4);
  CHECK(begun < 100);
}

TEST_CASE("whoever waits for a long piece of work is called meanwhile") {
  std::atomic<int> called = 0;
  OrderedWork work(1, [&] { ++called; });
  std::atomic<bool> elsewhere = false;
  REQUIRE(work.give(
                  [&](unsigned worker) {
                    elsewhere = worker == 1;
                    comes([&] { return called > 0; });
                  },
                  [] { return Result<void>(Done{}); })
              .ok());
  REQUIRE(comes([&] { return elsewhere.load(); }));  // the thread has taken it
  REQUIRE(work.finish().ok());
  CHECK(called >= 1);
}
