#define CATCH_CONFIG_EXTERNAL_INTERFACES
#include "fake_clock.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <map>
#include <utility>

namespace {

using claude_init::Milliseconds;
using claude_init::SteadyTime;
using claude_init::UnixMs;

constexpr UnixMs kNever = INT64_MAX;

timespec real(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now;
}

// Far ahead of the real one: the kernel, which knows only that, lets no wait of a condition variable end by
// itself.
SteadyTime steady{std::chrono::seconds(real(CLOCK_MONOTONIC).tv_sec) + std::chrono::hours(24 * 3650)};
// The real one when a test begins: file systems go on stamping files with that.
UnixMs wall = 0;
std::map<int, UnixMs> timers;  // of the wall clock → when it is due
std::function<void()> while_sleeping;

struct BeginsNow : Catch::TestEventListenerBase {
  using Catch::TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo&) override {
    const timespec now = real(CLOCK_REALTIME);
    wall = UnixMs{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  }
};
CATCH_REGISTER_LISTENER(BeginsNow)

void fire_due_timers() {
  for (auto& [timer, due] : timers) {
    if (due > wall) continue;
    due = kNever;
    const std::uint64_t once = 1;
    static_cast<void>(::write(timer, &once, sizeof once) == sizeof once);
  }
}

}  // namespace

namespace claude_init {
SteadyTime fake_steady_now() asm("__wrap__ZNSt6chrono3_V212steady_clock3nowEv");
SteadyTime fake_steady_now() {
  return steady;
}
UnixMs fake_unix_now() asm("__wrap__ZN11claude_init8unix_nowEv");
UnixMs fake_unix_now() {
  return wall;
}
}  // namespace claude_init

extern "C" int __real_timerfd_settime(int timer, int flags, const itimerspec* spec, itimerspec* old);
extern "C" int __real_close(int fd);

extern "C" int __wrap_timerfd_create(int clock, int) {
  if (clock != CLOCK_REALTIME) {  // the loop then asks the steady clock whenever it looks
    errno = EINVAL;
    return -1;
  }
  const int timer = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  timers[timer] = kNever;
  return timer;
}

extern "C" int __wrap_timerfd_settime(int timer, int flags, const itimerspec* spec, itimerspec* old) {
  const auto ours = timers.find(timer);
  if (ours == timers.end()) return __real_timerfd_settime(timer, flags, spec, old);
  std::uint64_t expirations = 0;
  static_cast<void>(::read(timer, &expirations, sizeof expirations) > 0);
  const UnixMs due = UnixMs{spec->it_value.tv_sec} * 1000 + spec->it_value.tv_nsec / 1'000'000;
  ours->second = due == 0 ? kNever : due;
  fire_due_timers();
  return 0;
}

extern "C" int __wrap_close(int fd) {
  timers.erase(fd);
  return __real_close(fd);
}

extern "C" int __wrap_nanosleep(const timespec* time, timespec*) {
  claude_init::test::let_pass(std::chrono::duration_cast<Milliseconds>(
      std::chrono::seconds(time->tv_sec) + std::chrono::nanoseconds(time->tv_nsec)));
  if (while_sleeping) while_sleeping();
  return 0;
}

namespace claude_init::test {

void let_pass(Milliseconds time) {
  steady += time;
  wall += time.count();
  fire_due_timers();
}

WhileSleeping::WhileSleeping(std::function<void()> call) {
  while_sleeping = std::move(call);
}

WhileSleeping::~WhileSleeping() {
  while_sleeping = nullptr;
}

bool really(const std::function<bool()>& done) {
  const time_t begun = real(CLOCK_MONOTONIC).tv_sec;
  while (!done()) {
    if (real(CLOCK_MONOTONIC).tv_sec - begun > 60) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

}  // namespace claude_init::test
