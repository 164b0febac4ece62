#include "base/interrupt.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <functional>

using namespace claude_init;

namespace {

void block_all() {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
}

/// Runs `work` in a process that has begun as main begins; its exit status, or 1000 plus the signal.
int in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    block_all();
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::signal(number, SIG_DFL);  // not Catch2's
    ::_exit(work());
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

}  // namespace

TEST_CASE("a signal is noted, and work that asks ends by itself", "[interrupt]") {
  const int status = in_child([] {
    interrupt::listen();
    if (!interrupt::check() || interrupt::is_pending()) return 1;
    ::raise(SIGINT);
    ::raise(SIGTERM);
    const auto asked = interrupt::check();
    if (asked || asked.error().kind != ErrorKind::interrupted) return 2;
    if (asked.error().message() != "interrupted by SIGINT") return 3;
    return interrupt::number() == SIGINT && interrupt::until(SteadyTime::max()).has_come() ? 0 : 4;
  });
  CHECK(status == 0);
}

TEST_CASE("work that does not ask is cut off", "[interrupt]") {
  const auto busy = [] {
    for (volatile bool never = false; !never;) {
    }
    return 1;
  };
  CHECK(in_child([&] {
          interrupt::listen();
          ::raise(SIGTERM);
          return busy();
        }) == 128 + SIGTERM);
  CHECK(in_child([&] {
          interrupt::listen();
          const interrupt::Untidy untidy;
          ::raise(SIGTERM);
          return busy();
        }) == 128 + SIGTERM);
}

TEST_CASE("a signal that came before is noted at once", "[interrupt]") {
  CHECK(in_child([] {
          ::raise(SIGTERM);
          if (!interrupt::is_pending() || interrupt::number() != 0) return 1;
          interrupt::listen();
          return interrupt::number() == SIGTERM ? 0 : 2;
        }) == 0);
}

TEST_CASE("during a pause, and afterwards, signals wait for whoever takes them", "[interrupt]") {
  CHECK(in_child([] {
          interrupt::listen();
          {
            const interrupt::Pause pause;
            const interrupt::Pause another;
            struct sigaction action {};
            ::sigaction(SIGTERM, nullptr, &action);
            if (action.sa_handler != SIG_DFL) return 1;
            ::raise(SIGTERM);
            if (interrupt::number() != 0 || !interrupt::is_pending()) return 2;
            sigset_t set;
            ::sigemptyset(&set);
            ::sigaddset(&set, SIGTERM);
            int number = 0;
            ::sigwait(&set, &number);
          }
          if (interrupt::number() != 0) return 3;
          interrupt::stop_listening();
          ::raise(SIGTERM);
          return interrupt::number() == 0 && interrupt::is_pending() ? 0 : 4;
        }) == 0);
}

TEST_CASE("what is ignored stays ignored", "[interrupt]") {
  CHECK(in_child([] {
          ::signal(SIGHUP, SIG_IGN);
          interrupt::listen();
          ::raise(SIGHUP);
          return interrupt::number() == 0 ? 0 : 1;
        }) == 0);
}
