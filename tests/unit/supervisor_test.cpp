#include "supervise/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "signals_taken.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::supervise;
using namespace claude_init::loop;
namespace asio = boost::asio;

namespace {

/// A loop on which nothing runs yet, with all signals blocked as main does it.
struct Fixture {
  const SignalsTaken taken;
  asio::io_context io{1};
  Reaper reaper;
  const Loop loop{io, reaper, taken.inherited};
};

/// For what is to end by itself, however busy the machine is.
const Options kPatient = [] {
  Options options;
  options.grace = Milliseconds(60'000);
  options.stop_timeout = Milliseconds(120'000);
  return options;
}();

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
  Fixture f;
  for (const int status : {0, 3, 255}) {
    const auto outcome = supervise::supervise(f.loop, {}, shell("exit " + std::to_string(status)));
    REQUIRE(outcome.ok());
    CHECK(outcome->exit_status == status);
    CHECK(outcome->stop_signal == 0);
    CHECK_FALSE(outcome->killed_leftovers);
  }
}

TEST_CASE("other work on the loop goes on during supervision and after it") {
  Fixture f;
  const test::TempDir directory;
  int ticks = 0;
  int last = -1;
  asio::steady_timer timer(f.io);
  std::function<void()> tick = [&] {
    timer.expires_after(Milliseconds(5));
    timer.async_wait([&](const boost::system::error_code& failure) {
      if (++ticks == 5) directory.file("five", "");
      if (!failure && ticks != last) tick();
    });
  };
  tick();
  REQUIRE(supervise::supervise(f.loop, {},
                               shell("while ! test -e " + directory.path("five") + "; do sleep 0.01; done"))
              .ok());
  CHECK(ticks >= 5);
  last = ticks + 5;
  f.io.run();  // nothing of the supervisor's is left that could be called
  CHECK(ticks == last);
}

namespace {

/// Sends `number` to us from another process: our own signals do not count.
void send_from_outside(int number) {
  const pid_t sender = ::fork();
  if (sender == 0) {
    ::kill(::getppid(), number);
    ::_exit(0);
  }
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(sender), &info, WEXITED | WNOWAIT);  // the reaper takes it
}

}  // namespace

TEST_CASE("what is to be saved is saved after everything has ended, without a deadline if nobody stops us") {
  Fixture f;
  Hooks hooks;
  int collected = 0;
  hooks.save_now = [&] { FAIL("nobody stopped us"); };
  hooks.collect = [&](const Deadline& deadline) {
    ++collected;
    CHECK_FALSE(deadline.has_come());
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
  };
  const auto outcome = supervise::supervise(f.loop, kPatient, shell("sleep 600 & exit 3"), hooks);
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 3);
  CHECK(collected == 1);
}

TEST_CASE("a stop signal saves at once what must not be lost, and leaves the saving a deadline") {
  Fixture f;
  Options options;
  options.grace = Milliseconds(200);
  options.stop_timeout = Milliseconds(1600);  // nearly over after 1200
  Hooks hooks;
  std::vector<std::string> calls;
  hooks.ending = [&] { calls.emplace_back("ending"); };
  hooks.save_now = [&] { calls.emplace_back("save now"); };
  const SteadyTime before = std::chrono::steady_clock::now();
  hooks.collect = [&](const Deadline& deadline) {
    calls.emplace_back("collect");
    while (!deadline.has_come()) ::usleep(1000);
  };
  const auto outcome = supervise::supervise(
      f.loop, options,
      shell("trap '' TERM; kill -TERM " + std::to_string(::getpid()) + "; while :; do sleep 0.01; done"),
      hooks);
  const auto took = std::chrono::steady_clock::now() - before;
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 128 + SIGKILL);
  CHECK(outcome->stop_signal == SIGTERM);
  CHECK(outcome->killed_leftovers);
  CHECK(calls == std::vector<std::string>{"ending", "save now", "collect"});
  CHECK(took >= Milliseconds(1200));
  CHECK(took < Milliseconds(30'000));
}

TEST_CASE("while it is saved a stop signal sets the deadline, and a second one is it") {
  Fixture f;
  Options options;
  options.stop_timeout = Milliseconds(60'000);
  Hooks hooks;
  hooks.collect = [&](const Deadline& deadline) {
    CHECK_FALSE(deadline.has_come());
    send_from_outside(SIGTERM);
    CHECK_FALSE(deadline.has_come());  // a minute less a second from now
    send_from_outside(SIGHUP);
    CHECK_FALSE(deadline.has_come());  // comes along with others, and is not impatience
    send_from_outside(SIGTERM);
    CHECK(deadline.has_come());
  };
  options.stop_signals = {SIGTERM, SIGHUP};
  const auto outcome = supervise::supervise(f.loop, options, shell("exit 0"), hooks);
  REQUIRE(outcome.ok());
  CHECK(outcome->stop_signal == SIGTERM);
}

TEST_CASE("the stop timeout is counted from a stop signal that comes while it is saved") {
  Fixture f;
  Options options;
  options.stop_timeout = Milliseconds(400);  // nearly over after 300
  Hooks hooks;
  hooks.collect = [&](const Deadline& deadline) {
    send_from_outside(SIGTERM);
    const SteadyTime sent = std::chrono::steady_clock::now();
    while (!deadline.has_come()) ::usleep(1000);
    CHECK(std::chrono::steady_clock::now() - sent >= Milliseconds(250));
  };
  CHECK(supervise::supervise(f.loop, options, shell("exit 0"), hooks).ok());
}

TEST_CASE("a hangup behind a stop signal kills nobody, and a stop signal behind a hangup neither") {
  for (const std::string first : {"TERM", "HUP"}) {
    Fixture f;
    Options options = kPatient;
    options.stop_signals = {SIGTERM, SIGHUP};
    const std::string us = std::to_string(::getpid());
    const auto outcome = supervise::supervise(
        f.loop, options,
        shell("trap 'a=1' " + first + "; trap 'sleep 0.1; exit 7' " + (first == "TERM" ? "HUP" : "TERM") +
              "; kill -" + first + " " + us + "; while test -z \"$a\"; do sleep 0.01; done; kill -" +
              (first == "TERM" ? "HUP" : "TERM") + " " + us + "; while :; do sleep 0.01; done"));
    REQUIRE(outcome.ok());
    CHECK(outcome->exit_status == 7);
    CHECK_FALSE(outcome->killed_leftovers);
  }
}

TEST_CASE("which signals stop is the caller's choice, and they arrive as themselves") {
  Fixture f;
  Options options = kPatient;
  options.stop_signals = {SIGTERM, SIGINT};
  const auto outcome =
      supervise::supervise(f.loop, options,
                           shell("trap 'exit 21' INT; kill -INT " + std::to_string(::getpid()) +
                                 "; while :; do sleep 0.01; done"));
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 21);
  CHECK(outcome->stop_signal == SIGINT);
}

TEST_CASE("after supervision signals stay blocked and wait") {
  Fixture f;
  REQUIRE(supervise::supervise(f.loop, {}, shell("exit 0")).ok());
  ::kill(::getpid(), SIGTERM);
  f.io.restart();
  f.io.poll();
  CHECK(is_pending(SIGTERM));
  const auto fd = open_signal_fd();
  REQUIRE(fd.ok());
  while (next_signal(fd->get())) {
  }
}

TEST_CASE("when the command cannot be prepared, supervision fails and leaves nothing running") {
  Fixture f;
  Command command = shell("exit 0");
  command.before_exec = [] { return EPERM; };
  const auto outcome = supervise::supervise(f.loop, {}, command);
  REQUIRE_FALSE(outcome.ok());
  CHECK(outcome.error().kind == ErrorKind::permission);
}

TEST_CASE("a child beside the command is let finish when the command ends, and is told its end") {
  Fixture f;
  const auto helper = spawn(f.loop.inherited, shell("trap 'exit 9' TERM; sleep 0.3; exit 4"), -1);
  REQUIRE(helper.ok());
  std::optional<ChildChange> told;
  f.reaper.watch(helper->pid, [&](const ChildChange& change) { told = change; });
  int endings = 0;
  Hooks hooks;
  hooks.ending = [&] { ++endings; };
  const auto outcome = supervise::supervise(f.loop, kPatient, shell("sleep 600 & exit 3"), hooks);
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 3);
  CHECK_FALSE(outcome->killed_leftovers);  // the sleep got TERM
  REQUIRE(told);
  CHECK(told->shell_status() == 4);
  CHECK(endings == 1);
}

TEST_CASE("a stop signal reaches a child beside the command at once, with the grace to finish") {
  Fixture f;
  const test::TempDir directory;
  const std::string ready = directory.path() + "/ready";
  const auto helper =
      spawn(f.loop.inherited,
            shell("trap 'sleep 0.2; exit 9' TERM; : > " + ready + "; while :; do sleep 0.01; done"), -1);
  REQUIRE(helper.ok());
  std::optional<ChildChange> told;
  f.reaper.watch(helper->pid, [&](const ChildChange& change) { told = change; });
  const std::string pid = std::to_string(helper->pid);
  const auto outcome =
      supervise::supervise(f.loop, kPatient,
                           shell("trap 'while kill -0 " + pid +
                                 " 2>/dev/null; do sleep 0.01; done; exit 5' TERM; while ! test -e " + ready +
                                 "; do sleep 0.01; done; kill -TERM " + std::to_string(::getpid()) +
                                 "; while :; do sleep 0.01; done"));
  REQUIRE(outcome.ok());
  CHECK(outcome->exit_status == 5);  // it saw the other one end, before it ended itself
  CHECK_FALSE(outcome->killed_leftovers);
  REQUIRE(told);
  CHECK(told->shell_status() == 9);
}

TEST_CASE("a child beside the command that does not end is killed when the grace is over") {
  Fixture f;
  const auto helper = spawn(f.loop.inherited, shell("trap '' TERM; while :; do sleep 0.01; done"), -1);
  REQUIRE(helper.ok());
  std::optional<ChildChange> told;
  f.reaper.watch(helper->pid, [&](const ChildChange& change) { told = change; });
  Options options;
  options.grace = Milliseconds(100);
  const auto outcome = supervise::supervise(f.loop, options, shell("exit 0"));
  REQUIRE(outcome.ok());
  CHECK(outcome->killed_leftovers);
  REQUIRE(told);
  CHECK(told->shell_status() == 128 + SIGKILL);
}

TEST_CASE("a signal that comes when the command has ended reaches nobody else in our group") {
  int go[2];
  REQUIRE(::pipe2(go, O_CLOEXEC) == 0);
  const pid_t supervisor = ::fork();
  if (supervisor == 0) {
    char c = 0;
    if (::read(go[0], &c, 1) != 1) ::_exit(1);
    Fixture f;
    const auto helper = spawn(f.loop.inherited, shell("sleep 0.2"), -1);
    if (!helper.ok()) ::_exit(1);
    f.reaper.watch(helper->pid, [](const ChildChange&) {});
    Hooks hooks;
    hooks.ending = [] { send_from_outside(SIGUSR1); };
    const auto outcome = supervise::supervise(f.loop, kPatient, shell("exit 3"), hooks);
    ::_exit(outcome.ok() ? outcome->exit_status : 1);
  }
  const pid_t neighbour = ::fork();
  if (neighbour == 0) {
    ::signal(SIGTERM, SIG_DFL);  // Catch2 reports it as a failure
    for (;;) ::pause();
  }
  REQUIRE(::setpgid(supervisor, supervisor) == 0);
  REQUIRE(::setpgid(neighbour, supervisor) == 0);
  REQUIRE(::write(go[1], "x", 1) == 1);
  int status = 0;
  REQUIRE(::waitpid(supervisor, &status, 0) == supervisor);
  CHECK(WEXITSTATUS(status) == 3);
  ::kill(neighbour, SIGTERM);  // which comes after a USR1 that is pending
  REQUIRE(::waitpid(neighbour, &status, 0) == neighbour);
  CHECK(WTERMSIG(status) == SIGTERM);
  ::close(go[0]);
  ::close(go[1]);
}

TEST_CASE("without a command orphans and helpers are reaped until a stop signal, which ends what is left") {
  Fixture f;
  for (const bool something_left : {true, false}) {
    const auto helper = spawn(f.loop.inherited, shell("sleep 0.05; exit 4"), -1);
    REQUIRE(helper.ok());
    int told = -1;
    f.reaper.watch(helper->pid, [&](const ChildChange& change) {
      told = change.shell_status();
      if (something_left) REQUIRE(spawn(f.loop.inherited, shell("sleep 600"), -1).ok());
      send_from_outside(SIGTERM);
    });
    const auto outcome = supervise::supervise(f.loop, kPatient, {});
    REQUIRE(outcome.ok());
    CHECK(told == 4);
    CHECK(outcome->stop_signal == SIGTERM);
    CHECK(outcome->exit_status == 0);
    CHECK_FALSE(outcome->killed_leftovers);
  }
}

TEST_CASE("what is forked while the leftovers are told to end is told as well") {
  Fixture f;
  for (int round = 0; round < 5; ++round) {
    // Each is about to fork its sleep when the stop signal comes.
    for (int i = 0; i < 30; ++i) {
      const auto helper = spawn(f.loop.inherited, shell("sleep 600; exit 4"), -1);
      REQUIRE(helper.ok());
    }
    send_from_outside(SIGTERM);
    const auto outcome = supervise::supervise(f.loop, kPatient, {});
    REQUIRE(outcome.ok());
    CHECK_FALSE(outcome->killed_leftovers);
  }
}
