#include "loop/debounce.h"

#include <catch2/catch.hpp>
#include <optional>

#include "loop.h"

using namespace claude_init;
using namespace claude_init::loop;
using test::run_for;
using test::run_until;

TEST_CASE("a burst of events becomes one call, when it has been quiet") {
  boost::asio::io_context io(1);
  int calls = 0;
  Debounce debounce(io, Milliseconds(30), Milliseconds(10'000), [&] { ++calls; });
  for (int i = 0; i < 5; ++i) debounce.poke();
  CHECK(debounce.pending());
  run_for(io, Milliseconds(29));
  CHECK(calls == 0);
  run_for(io, Milliseconds(1));
  CHECK(calls == 1);
  CHECK_FALSE(debounce.pending());
  run_for(io, Milliseconds(20'000));
  CHECK(calls == 1);
}

TEST_CASE("events that never end are acted upon all the same") {
  boost::asio::io_context io(1);
  int calls = 0;
  Debounce debounce(io, Milliseconds(5000), Milliseconds(50), [&] { ++calls; });
  CHECK(run_until(
      io,
      [&] {
        debounce.poke();
        return calls == 3;
      },
      Milliseconds(160)));
}

TEST_CASE("an action may ask for another one, and nothing is called after cancel or destruction") {
  boost::asio::io_context io(1);
  int calls = 0;
  std::optional<Debounce> debounce;
  debounce.emplace(io, Milliseconds(1), Milliseconds(1), [&] {
    if (++calls < 3) debounce->poke();
  });
  debounce->poke();
  REQUIRE(run_until(io, [&] { return calls == 3; }));
  debounce->poke();
  debounce->cancel();
  run_for(io, Milliseconds(20));
  CHECK(calls == 3);
  debounce->poke();
  test::let_pass(Milliseconds(5));  // due
  debounce.reset();
  run_for(io, Milliseconds(20));
  CHECK(calls == 3);
}
