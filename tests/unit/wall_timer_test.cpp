#include "loop/wall_timer.h"

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <functional>
#include <optional>

using namespace claude_init;
using namespace claude_init::loop;

namespace {

/// The timers of the kernel itself, unlike those of the tests on a clock of their own.
void run_for(boost::asio::io_context& io, Milliseconds time) {
  io.restart();
  io.run_for(time);
}

bool run_until(boost::asio::io_context& io, const std::function<bool()>& done) {
  for (int i = 0; i < 3000 && !done(); ++i) {
    io.restart();
    io.run_one_for(Milliseconds(20));
  }
  return done();
}

}  // namespace

TEST_CASE("a wall timer calls once, at its time or at once when that has passed") {
  boost::asio::io_context io(1);
  int calls = 0;
  WallTimer timer(io);
  const UnixMs due = unix_now() + 40;
  REQUIRE(timer.at(due, [&] { ++calls; }).ok());
  REQUIRE(run_until(io, [&] { return calls > 0; }));
  CHECK(unix_now() >= due);
  REQUIRE(timer.at(0, [&] { ++calls; }).ok());
  REQUIRE(run_until(io, [&] { return calls == 2; }));
  run_for(io, Milliseconds(20));
  CHECK(calls == 2);
}

TEST_CASE("a later request replaces an earlier one, and a handler may ask again") {
  boost::asio::io_context io(1);
  int first = 0;
  int second = 0;
  WallTimer timer(io);
  REQUIRE(timer.at(unix_now() + 10, [&] { ++first; }).ok());
  REQUIRE(timer
              .at(unix_now() + 20,
                  [&] {
                    ++second;
                    static_cast<void>(timer.at(unix_now() + 5, [&] { ++second; }));
                  })
              .ok());
  REQUIRE(run_until(io, [&] { return second == 2; }));
  CHECK(first == 0);
}

TEST_CASE("a wall timer that was cancelled or destroyed calls nothing") {
  boost::asio::io_context io(1);
  int calls = 0;
  std::optional<WallTimer> timer;
  timer.emplace(io);
  REQUIRE(timer->at(unix_now() + 5, [&] { ++calls; }).ok());
  timer->cancel();
  run_for(io, Milliseconds(20));
  REQUIRE(timer->at(unix_now() + 5, [&] { ++calls; }).ok());
  ::usleep(10'000);
  timer.reset();
  run_for(io, Milliseconds(20));
  CHECK(calls == 0);
}
