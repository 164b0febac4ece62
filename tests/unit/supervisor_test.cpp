#include "supervise/supervisor.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>

using namespace claude_init;
using namespace claude_init::supervise;
namespace asio = boost::asio;

namespace {

class SignalsTaken {
 public:
  SignalsTaken() : inherited(take_over_signals()) {}
  ~SignalsTaken() { give_back_signals(inherited); }
  SignalsTaken(const SignalsTaken&) = delete;
  SignalsTaken& operator=(const SignalsTaken&) = delete;
  const Inherited inherited;
};

Command shell(const std::string& script) {
  return {{"/bin/sh", "-c", script}, {"PATH=/usr/bin:/bin"}, "", {}};
}

bool is_pending(int number) {
  sigset_t pending;
  sigpending(&pending);
  return sigismember(&pending, number) == 1;
}

}  // namespace

TEST_CASE("supervision returns the command's status and can be repeated on the same loop") {
  const SignalsTaken taken;
  asio::io_context io(1);
  for (const int status : {0, 3, 255}) {
    const auto outcome =
        supervise::supervise(io, taken.inherited, {}, shell("exit " + std::to_string(status)));
    REQUIRE(outcome.ok());
    CHECK(outcome->exit_status == status);
    CHECK(outcome->stop_signal == 0);
    CHECK_FALSE(outcome->killed_leftovers);
    CHECK(outcome->deadline == SteadyTime::max());
  }
}

TEST_CASE("other work on the loop goes on during supervision and after it") {
  const SignalsTaken taken;
  asio::io_context io(1);
  int ticks = 0;
  asio::steady_timer timer(io);
  std::function<void()> tick = [&] {
    timer.expires_after(Milliseconds(5));
    timer.async_wait([&](const boost::system::error_code& failure) {
      ++ticks;
      if (!failure && ticks < 100) tick();
    });
  };
  tick();
  REQUIRE(supervise::supervise(io, taken.inherited, {}, shell("sleep 0.1")).ok());
  CHECK(ticks > 1);
  CHECK(ticks < 100);
  io.run();  // nothing of the supervisor's is left that could be called
  CHECK(ticks == 100);
}

TEST_CASE("a stop signal is told with the time by when we must be gone") {
  const SignalsTaken taken;
  asio::io_context io(1);
  Options options;
  options.grace = Milliseconds(200);
  options.stop_timeout = Milliseconds(9000);
  const SteadyTime before = std::chrono::steady_clock::now();
  const auto outcome =
      supervise::supervise(io, taken.inherited, options,
                           shell("trap '' TERM; kill -TERM " + std::to_string(::getpid()) + "; sleep 60"));
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 128 + SIGKILL);
  CHECK(outcome->stop_signal == SIGTERM);
  CHECK(outcome->killed_leftovers);
  CHECK(outcome->deadline >= before + Milliseconds(8000));
  CHECK(outcome->deadline <= before + Milliseconds(8500));
}

TEST_CASE("which signals stop is the caller's choice, and they arrive as themselves") {
  const SignalsTaken taken;
  asio::io_context io(1);
  Options options;
  options.stop_signals = {SIGTERM, SIGINT};
  const auto outcome =
      supervise::supervise(io, taken.inherited, options,
                           shell("trap 'exit 21' INT; kill -INT " + std::to_string(::getpid()) +
                                 "; while :; do sleep 0.01; done"));
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 21);
  CHECK(outcome->stop_signal == SIGINT);
}

TEST_CASE("after supervision signals stay blocked and wait") {
  const SignalsTaken taken;
  asio::io_context io(1);
  REQUIRE(supervise::supervise(io, taken.inherited, {}, shell("exit 0")).ok());
  ::kill(::getpid(), SIGTERM);
  io.restart();
  io.poll();
  CHECK(is_pending(SIGTERM));
  const auto fd = open_signal_fd();
  REQUIRE(fd.ok());
  while (next_signal(fd->get())) {
  }
}

TEST_CASE("when the command cannot be prepared, supervision fails and leaves nothing running") {
  const SignalsTaken taken;
  asio::io_context io(1);
  Command command = shell("exit 0");
  command.before_exec = [] { return EPERM; };
  const auto outcome = supervise::supervise(io, taken.inherited, {}, command);
  REQUIRE_FALSE(outcome.ok());
  CHECK(outcome.error().kind == ErrorKind::permission);
}
