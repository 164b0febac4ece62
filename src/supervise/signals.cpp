#include "supervise/signals.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "base/text.h"
#include "supervise/processes.h"

namespace claude_init::supervise {
namespace {

// The kernel's idea of a signal set. glibc's functions leave out 32 and 33, which it uses between its
// threads to cancel them and to change their ids. We do neither, and somebody may send them.
constexpr std::size_t kKernelSetSize = _NSIG / 8;

void set_mask(const sigset_t& mask, sigset_t* before) {
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, before, kKernelSetSize);
}

sigset_t every_signal() {
  sigset_t all;
  std::memset(&all, 0xff, sizeof all);
  return all;
}

std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  if (!read_number(text, value) || text.front() == '-') return std::nullopt;
  return value;
}

/// "RTMIN", "RTMIN+n", "RTMAX", "RTMAX-n"; 0 if it is none of these or out of range.
int parse_real_time(std::string_view name) {
  const bool from_min = name.starts_with("RTMIN");
  if (!from_min && !name.starts_with("RTMAX")) return 0;
  const int base = from_min ? SIGRTMIN : SIGRTMAX;
  name.remove_prefix(5);
  if (name.empty()) return base;
  if (name.front() != (from_min ? '+' : '-') || name.size() < 2) return 0;
  const auto offset = parse_number(name.substr(1));
  if (!offset || *offset > SIGRTMAX - SIGRTMIN) return 0;
  return from_min ? base + *offset : base - *offset;
}

int parse_name(std::string_view name) {
  for (int number = 1; number < SIGRTMIN; ++number) {
    const char* known = sigabbrev_np(number);
    if (known != nullptr && name == known) return number;
  }
  // Names with a second spelling.
  if (name == "CLD") return SIGCHLD;
  if (name == "POLL") return SIGPOLL;
  if (name == "IOT") return SIGABRT;
  return parse_real_time(name);
}

}  // namespace

Inherited take_over_signals() {
  Inherited inherited;
  set_mask(every_signal(), &inherited.mask);
  struct sigaction child_action {};
  ::sigaction(SIGCHLD, nullptr, &child_action);
  inherited.child_ignored = child_action.sa_handler == SIG_IGN;
  if (inherited.child_ignored) ::signal(SIGCHLD, SIG_DFL);
  return inherited;
}

void give_back_signals(const Inherited& inherited) {
  if (inherited.child_ignored) ::signal(SIGCHLD, SIG_IGN);
  set_mask(inherited.mask, nullptr);
}

bool is_ignored(int number) {
  struct sigaction action {};
  return ::sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

Result<UniqueFd> open_signal_fd() {
  const sigset_t all = every_signal();
  UniqueFd fd(::signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd.valid()) return system_error(errno, "open a signal descriptor");
  return fd;
}

std::optional<signalfd_siginfo> next_signal(int signal_fd) {
  signalfd_siginfo info{};
  return read_signals(signal_fd, {&info, 1}) == 1 ? std::optional(info) : std::nullopt;
}

std::size_t read_signals(int signal_fd, std::span<signalfd_siginfo> room) {
  ssize_t n = 0;
  do {
    n = ::read(signal_fd, room.data(), room.size_bytes());
  } while (n < 0 && errno == EINTR);
  return n > 0 ? static_cast<std::size_t>(n) / sizeof(signalfd_siginfo) : 0;
}

int await_signal(signalfd_siginfo& info, SteadyTime until) {
  const sigset_t all = every_signal();
  siginfo_t found{};
  timespec left{};
  if (until != SteadyTime::max()) {
    const auto wait = std::max(until - std::chrono::steady_clock::now(), SteadyTime::duration::zero());
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(wait);
    left.tv_sec = seconds.count();
    left.tv_nsec = std::chrono::nanoseconds(wait - seconds).count();
  }
  const auto* limit = until == SteadyTime::max() ? nullptr : &left;
  if (::syscall(SYS_rt_sigtimedwait, &all, &found, limit, kKernelSetSize) < 0) return errno;
  info.ssi_signo = static_cast<std::uint32_t>(found.si_signo);
  info.ssi_code = found.si_code;
  info.ssi_pid = static_cast<std::uint32_t>(found.si_pid);
  info.ssi_ptr = reinterpret_cast<std::uintptr_t>(found.si_value.sival_ptr);
  return 0;
}

// With sigqueue(3): what we send ourselves with kill(2) is not meant for us.
void stop_ourselves() {
  static_cast<void>(::sigqueue(::getpid(), SIGTERM, {}));
}

int pass_on(pid_t target, int number, const signalfd_siginfo& origin) {
  if (origin.ssi_code != SI_QUEUE) return ::kill(target, number) == 0 ? 0 : errno;
  sigval value{};
  value.sival_ptr = reinterpret_cast<void*>(origin.ssi_ptr);  // the wider of the two members carries both
  if (target > 0) return ::sigqueue(target, number, value) == 0 ? 0 : errno;
  int failure = ESRCH;
  for (const Process& process : all_processes()) {
    if (process.group != -target) continue;
    failure = ::sigqueue(process.pid, number, value) == 0 ? 0 : errno;
  }
  // Without /proc the signal is worth more than its value.
  if (failure == ESRCH) return ::kill(target, number) == 0 ? 0 : errno;
  return failure;
}

Result<int> parse_signal(std::string_view text) {
  int number = 0;
  if (!text.empty()) {
    if (const auto parsed = parse_number(text)) {
      number = *parsed;
    } else {
      number = parse_name(text.starts_with("SIG") ? text.substr(3) : text);
    }
  }
  if (number < 1 || number > SIGRTMAX) {
    return make_error(ErrorKind::usage, fmt::format("'{}' is not a signal", text),
                      "write a name or a number: TERM, SIGTERM, 15, RTMIN+3");
  }
  return number;
}

std::string signal_name(int number) {
  if (number >= SIGRTMIN && number <= SIGRTMAX) {
    return number == SIGRTMIN ? "RTMIN" : fmt::format("RTMIN+{}", number - SIGRTMIN);
  }
  const char* name = sigabbrev_np(number);
  return name != nullptr ? name : std::to_string(number);
}

}  // namespace claude_init::supervise
