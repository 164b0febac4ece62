#include "supervise/processes.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>

using namespace claude_init::supervise;

namespace {

bool contains(const std::vector<Process>& list, pid_t pid) {
  return std::any_of(list.begin(), list.end(), [&](const Process& p) { return p.pid == pid; });
}

/// A child that says it is ready when `prepare` has returned, and then sleeps.
template <class F>
pid_t start_sleeper(F prepare) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    prepare();
    ::close(ready[0]);
    if (::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::close(ready[1]);
    for (;;) ::pause();
  }
  ::close(ready[1]);
  char c = 0;
  REQUIRE(::read(ready[0], &c, 1) == 1);
  ::close(ready[0]);
  return pid;
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

}  // namespace

TEST_CASE("descendants are found in whatever session they are, ourselves and the dead not among them") {
  const pid_t child = start_sleeper([] { ::setsid(); });
  const pid_t zombie = ::fork();
  if (zombie == 0) ::_exit(0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(zombie), &info, WEXITED | WNOWAIT) == 0);

  const auto found = descendants();
  CHECK(contains(found, child));
  CHECK_FALSE(contains(found, zombie));
  CHECK_FALSE(contains(found, ::getpid()));
  CHECK_FALSE(contains(found, ::getppid()));
  end(child);
  ::waitpid(zombie, nullptr, 0);
}

TEST_CASE("a name with parentheses and blanks does not hide a process") {
  const pid_t child = start_sleeper([] { ::prctl(PR_SET_NAME, "a) R 1 (b"); });
  CHECK(contains(descendants(), child));
  end(child);
}

TEST_CASE("grandchildren are found") {
  int numbers[2];
  REQUIRE(::pipe(numbers) == 0);
  const pid_t child = start_sleeper([&] {
    const pid_t pid = ::fork();
    if (pid == 0) {
      for (;;) ::pause();
    }
    if (::write(numbers[1], &pid, sizeof pid) != sizeof pid) ::_exit(1);
  });
  pid_t pid = 0;
  REQUIRE(::read(numbers[0], &pid, sizeof pid) == sizeof pid);
  CHECK(contains(descendants(), pid));
  ::kill(pid, SIGKILL);
  end(child);
  ::close(numbers[0]);
  ::close(numbers[1]);
}

TEST_CASE("an interactive shell is told by the job-control signals that it ignores") {
  const pid_t plain = start_sleeper([] {});
  const pid_t half = start_sleeper([] { ::signal(SIGTSTP, SIG_IGN); });
  const pid_t shell = start_sleeper([] {
    ::signal(SIGTSTP, SIG_IGN);
    ::signal(SIGTTOU, SIG_IGN);
  });
  CHECK_FALSE(is_interactive_shell(plain));
  CHECK_FALSE(is_interactive_shell(half));
  CHECK(is_interactive_shell(shell));
  CHECK_FALSE(is_interactive_shell(999'999'999));
  for (const pid_t pid : {plain, half, shell}) end(pid);
}

TEST_CASE("killing reaches descendants in groups and sessions of their own, and nobody in ours who is not") {
  REQUIRE(::getpid() != 1);
  const pid_t own_session = start_sleeper([] { ::setsid(); });
  const pid_t our_group = start_sleeper([] {});
  kill_descendants();
  for (const pid_t pid : {own_session, our_group}) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGKILL);
  }
}
