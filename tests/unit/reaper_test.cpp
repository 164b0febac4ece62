#include "loop/reaper.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <vector>

using namespace claude_init::loop;
using ChangeKind = ChildChange::Kind;

namespace {

template <class F>
pid_t start(F child) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    child();
    ::_exit(99);
  }
  REQUIRE(pid > 0);
  return pid;
}

/// Returns when `pid` can be waited for, without doing so.
void await_change(pid_t pid) {
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WSTOPPED | WNOWAIT) == 0);
}

}  // namespace

TEST_CASE("without children there is nothing left to reap") {
  Reaper reaper;
  CHECK_FALSE(*reaper.reap());
}

TEST_CASE("all that have ended are reaped at once, and each watcher hears of its own child only") {
  Reaper reaper;
  std::vector<ChildChange> heard;
  const pid_t watched = start([] { ::_exit(7); });
  const pid_t other = start([] { ::_exit(8); });
  const pid_t killed = start([] { ::pause(); });
  ::kill(killed, SIGKILL);
  for (const pid_t pid : {watched, killed})
    reaper.watch(pid, [&](const ChildChange& c) { heard.push_back(c); });
  for (const pid_t pid : {watched, other, killed}) await_change(pid);

  CHECK_FALSE(*reaper.reap());
  REQUIRE(heard.size() == 2);
  for (const ChildChange& change : heard) {
    CHECK(change.kind == (change.pid == watched ? ChangeKind::exited : ChangeKind::killed));
    CHECK(change.shell_status() == (change.pid == watched ? 7 : 128 + SIGKILL));
  }
}

TEST_CASE("until it is told a child can be signalled, and then it is not among the watched any more") {
  Reaper reaper;
  const pid_t pid = start([] { ::_exit(0); });
  std::vector<pid_t> watched;
  reaper.watch(pid, [&](const ChildChange&) { watched = reaper.watched(); });
  await_change(pid);
  CHECK(reaper.watched() == std::vector<pid_t>{pid});
  CHECK(::kill(pid, 0) == 0);
  watched = {1};
  CHECK_FALSE(*reaper.reap());
  CHECK(watched.empty());
  CHECK(::kill(pid, 0) != 0);
}

TEST_CASE("a stopped child is told of once for each stop, and once more when it ends") {
  Reaper reaper;
  const pid_t pid = start([] {
    ::raise(SIGSTOP);
    ::raise(SIGSTOP);
    ::_exit(3);
  });
  std::vector<ChangeKind> heard;
  reaper.watch(pid, [&](const ChildChange& change) { heard.push_back(change.kind); });
  for (int stops = 1; stops <= 2; ++stops) {
    await_change(pid);
    CHECK(*reaper.reap());
    CHECK(*reaper.reap());  // the same stop is not shown again
    CHECK(heard == std::vector<ChangeKind>(static_cast<std::size_t>(stops), ChangeKind::stopped));
    ::kill(pid, SIGCONT);
  }
  await_change(pid);
  CHECK_FALSE(*reaper.reap());
  CHECK(heard == std::vector<ChangeKind>{ChangeKind::stopped, ChangeKind::stopped, ChangeKind::exited});
}

TEST_CASE("a handler may start and watch another child") {
  Reaper reaper;
  int second_status = -1;
  const pid_t first = start([] { ::_exit(0); });
  reaper.watch(first, [&](const ChildChange&) {
    const pid_t second = start([] { ::_exit(5); });
    reaper.watch(second, [&](const ChildChange& change) { second_status = change.number; });
    await_change(second);
  });
  await_change(first);
  CHECK_FALSE(*reaper.reap());
  CHECK(second_status == 5);
}
