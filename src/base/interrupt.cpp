#include "base/interrupt.h"

#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <string>
#include <utility>

namespace claude_init::interrupt {
namespace {

constexpr std::array<int, 4> kSignals{SIGTERM, SIGINT, SIGHUP, SIGQUIT};
// What asks does so within milliseconds. A person who has typed ^C does not wait for the rest.
constexpr suseconds_t kCutOffAfter = 150'000;  // microseconds
constexpr int kPatience = 20;                  // times that, for what has to be removed

// Lock-free, so the handlers may use them.
std::atomic<int> noted = 0;
std::atomic<int> untidy = 0;
std::atomic<int> waited = 0;
static_assert(std::atomic<int>::is_always_lock_free);

bool listening = false;
std::array<struct sigaction, kSignals.size()> given{};
struct sigaction given_alarm {};

void cut_off_later() {
  itimerval time{};
  time.it_value.tv_usec = kCutOffAfter;
  ::setitimer(ITIMER_REAL, &time, nullptr);
}

void note(int number) {
  int none = 0;
  if (noted.compare_exchange_strong(none, number)) cut_off_later();
}

void cut_off(int /*SIGALRM*/) {
  const int number = noted;
  if (number == 0) return;
  if (untidy > 0 && ++waited < kPatience) return cut_off_later();
  ::_exit(128 + number);
}

sigset_t all_of_ours() {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGALRM);
  for (const int number : kSignals) ::sigaddset(&set, number);
  return set;
}

}  // namespace

// Without SA_RESTART: a call that waits ends with EINTR, and its caller asks.
void listen() {
  if (std::exchange(listening, true)) return;
  sigset_t set = all_of_ours();
  struct sigaction action {};
  ::sigfillset(&action.sa_mask);
  action.sa_handler = cut_off;
  ::sigaction(SIGALRM, &action, &given_alarm);
  action.sa_handler = note;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    ::sigaction(kSignals[i], nullptr, &given[i]);
    if (given[i].sa_handler == SIG_IGN) {
      ::sigdelset(&set, kSignals[i]);
    } else {
      ::sigaction(kSignals[i], &action, nullptr);
    }
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void stop_listening() {
  if (!std::exchange(listening, false)) return;
  const sigset_t set = all_of_ours();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (given[i].sa_handler != SIG_IGN) ::sigaction(kSignals[i], &given[i], nullptr);
  }
  ::sigaction(SIGALRM, &given_alarm, nullptr);
}

int number() {
  return noted;
}

bool is_pending() {
  if (noted != 0) return true;
  sigset_t pending;
  if (::sigpending(&pending) != 0) return false;
  for (const int number : kSignals) {
    if (::sigismember(&pending, number) == 1) return true;
  }
  return false;
}

Deadline until(SteadyTime time) {
  return Deadline([time] { return std::chrono::steady_clock::now() >= time || is_pending(); });
}

Result<void> check() {
  const int number = noted;
  if (number == 0) return Done{};
  const char* name = sigabbrev_np(number);
  return make_error(ErrorKind::interrupted,
                    std::string("interrupted by SIG") + (name != nullptr ? name : "?"));
}

Pause::Pause() : was_listening_(listening) {
  stop_listening();
}

Pause::~Pause() {
  if (was_listening_) listen();
}

Untidy::Untidy() {
  ++untidy;
}

Untidy::~Untidy() {
  if (counts_) --untidy;
}

Untidy::Untidy(Untidy&& other) noexcept : counts_(std::exchange(other.counts_, false)) {}

Untidy& Untidy::operator=(Untidy&& other) noexcept {
  if (this != &other) {
    if (counts_) --untidy;
    counts_ = std::exchange(other.counts_, false);
  }
  return *this;
}

}  // namespace claude_init::interrupt
