#include "supervise/signals.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "signals_taken.h"

using namespace claude_init;
using namespace claude_init::supervise;

TEST_CASE("a signal is read by name with and without SIG, by number, and as a real-time offset") {
  CHECK(*parse_signal("TERM") == SIGTERM);
  CHECK(*parse_signal("SIGTERM") == SIGTERM);
  CHECK(*parse_signal("15") == SIGTERM);
  CHECK(*parse_signal("USR1") == SIGUSR1);
  CHECK(*parse_signal("IOT") == SIGABRT);
  CHECK(*parse_signal("RTMIN") == SIGRTMIN);
  CHECK(*parse_signal("SIGRTMIN+3") == SIGRTMIN + 3);
  CHECK(*parse_signal("RTMAX-1") == SIGRTMAX - 1);
  CHECK(*parse_signal("64") == 64);
}

TEST_CASE("what is not a signal is refused with what to write instead") {
  for (const char* bad : {"", "0", "65", "-1", "TERMX", "SIG", "term", "RTMIN+31", "RTMIN-1", "RTMAX+1",
                          "RTMIN+", "RTMIN+x", "15x", "SIG15", "999999999999"}) {
    INFO(bad);
    const auto parsed = parse_signal(bad);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().kind == ErrorKind::usage);
    CHECK_FALSE(parsed.error().remedy.empty());
  }
}

TEST_CASE("every signal's name reads back as the same signal") {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    INFO(signal_name(number));
    CHECK(*parse_signal(signal_name(number)) == number);
  }
}

TEST_CASE("from taking over on, no signal is lost: all are blocked and can be read, 32 and 33 included") {
  const SignalsTaken taken;
  const auto fd = open_signal_fd();
  REQUIRE(fd.ok());
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (number == SIGKILL || number == SIGSTOP || number == SIGCONT) continue;
    // A stop signal and SIGCONT discard each other: one at a time.
    INFO(number);
    REQUIRE(::kill(::getpid(), number) == 0);
    const auto info = next_signal(fd->get());
    REQUIRE(info);
    CHECK(static_cast<int>(info->ssi_signo) == number);
  }
  CHECK_FALSE(next_signal(fd->get()));
}

TEST_CASE("giving back restores the mask and an ignored SIGCHLD exactly") {
  sigset_t before;
  sigset_t mine;
  sigemptyset(&mine);
  sigaddset(&mine, SIGUSR2);
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mine, &before, 8);
  ::signal(SIGCHLD, SIG_IGN);
  const Inherited inherited = take_over_signals();
  CHECK(inherited.child_ignored);
  struct sigaction action {};
  ::sigaction(SIGCHLD, nullptr, &action);
  CHECK(action.sa_handler == SIG_DFL);

  give_back_signals(inherited);
  ::sigaction(SIGCHLD, nullptr, &action);
  CHECK(action.sa_handler == SIG_IGN);
  sigset_t after;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, &after, 8);
  CHECK(std::memcmp(&after, &mine, 8) == 0);
  ::signal(SIGCHLD, SIG_DFL);
}

TEST_CASE("a value sent by sigqueue is passed on with the signal") {
  const SignalsTaken taken;
  const auto fd = open_signal_fd();
  REQUIRE(fd.ok());
  sigval value{};
  value.sival_int = 4711;
  REQUIRE(::sigqueue(::getpid(), SIGUSR1, value) == 0);
  const auto origin = next_signal(fd->get());
  REQUIRE(origin);
  for (const pid_t target : {::getpid(), -::getpgrp()}) {
    if (target <= 0 && ::getpgrp() != ::getpid()) continue;  // would reach strangers
    REQUIRE(pass_on(target, SIGUSR2, *origin) == 0);
    const auto passed = next_signal(fd->get());
    REQUIRE(passed);
    CHECK(passed->ssi_signo == SIGUSR2);
    CHECK(passed->ssi_int == 4711);
    CHECK(passed->ssi_code == SI_QUEUE);
  }
}

TEST_CASE("passing on to nobody says so instead of failing otherwise") {
  signalfd_siginfo origin{};
  CHECK(pass_on(999'999'999, SIGTERM, origin) == ESRCH);
  origin.ssi_code = SI_QUEUE;
  CHECK(pass_on(-999'999'999, SIGTERM, origin) == ESRCH);
}
