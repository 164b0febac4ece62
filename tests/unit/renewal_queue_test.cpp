#include "renew/renewal_queue.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

using namespace claude_init::renew;

TEST_CASE("one has a turn at a time, in the order of asking") {
  boost::asio::io_context io(1);
  RenewalQueue turns(io);
  std::string order;
  std::optional<RenewalQueue::Turn> held;
  const auto ask = [&](char who, bool keeps) {
    turns.ask([&, who, keeps](RenewalQueue::Turn turn) {
      order += who;
      if (keeps) held.emplace(std::move(turn));
    });
  };
  ask('a', true);
  ask('b', false);
  ask('c', true);
  CHECK(order.empty());  // from the loop, never from within ask()
  io.run();
  CHECK(order == "a");
  held.reset();
  io.restart();
  io.run();
  CHECK(order == "abc");  // b gave it back at once
  ask('d', false);
  io.restart();
  io.run();
  CHECK(order == "abc");
  held.reset();
  io.restart();
  io.run();
  CHECK(order == "abcd");
}
