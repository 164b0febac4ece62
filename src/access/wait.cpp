#include "access/wait.h"

#include <signal.h>
#include <sys/signalfd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <memory>
#include <utility>

#include "base/interrupt.h"
#include "log/log.h"
#include "options/options.h"

namespace claude_init::access {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr Milliseconds kGraceOnStop{5'000};

/// Calls `handler` with each signal of `set`, which is blocked, until it is destroyed.
class SignalWatch {
 public:
  SignalWatch(asio::io_context& io, const sigset_t& set, std::function<void(int)> handler)
      : state_(std::make_shared<State>(io, std::move(handler))) {
    const int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
      log::failure(log::Level::warn, system_error(errno, "wait for signals"));
    } else {
      state_->descriptor.assign(fd);
      state_->wait();
    }
  }
  ~SignalWatch() {
    error_code ignored;
    state_->descriptor.close(ignored);
  }
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  struct State : std::enable_shared_from_this<State> {
    State(asio::io_context& io, std::function<void(int)> call) : descriptor(io), handler(std::move(call)) {}
    void wait() {
      descriptor.async_wait(
          asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](const error_code& failure) {
            if (failure || !self->descriptor.is_open()) return;
            while (const auto info = supervise::next_signal(self->descriptor.native_handle())) {
              self->handler(static_cast<int>(info->ssi_signo));
            }
            self->wait();
          });
    }
    asio::posix::stream_descriptor descriptor;
    std::function<void(int)> handler;
  };
  std::shared_ptr<State> state_;  // outlives this for a handler that is due already
};

sigset_t set_of(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : signals) sigaddset(&set, number);
  return set;
}

}  // namespace

int wait_until_over(const supervise::Loop& loop, const Wait& wait) {
  const interrupt::Pause pause;
  if (interrupt::number() != 0) return interrupt::number();
  int stopped = 0;
  const auto late = std::make_shared<bool>(false);  // outlives this for a handler that is due already
  asio::steady_timer limit(loop.io);
  const auto end_within = [&](Milliseconds time) {
    limit.expires_after(time);
    limit.async_wait([late](const error_code& failure) { *late = *late || !failure; });
  };
  if (wait.limit != options::kForever) end_within(wait.limit);
  const SignalWatch children(loop.io, set_of({SIGCHLD}), [&](int) { static_cast<void>(loop.reaper.reap()); });
  const SignalWatch stop(loop.io, set_of({SIGTERM, SIGINT, SIGHUP, SIGQUIT}), [&](int number) {
    if (supervise::is_ignored(number) || std::exchange(stopped, number) != 0) return;
    if (renew::Renewer* renewer = wait.renewer()) renewer->stop();
    end_within(kGraceOnStop);
  });
  const auto renewing = [&] {
    const renew::Renewer* renewer = wait.renewer();
    return renewer != nullptr && renewer->is_renewing();
  };
  while (!*late && (stopped == 0 ? !wait.over() : renewing())) {
    if (loop.io.run_one() == 0) break;
  }
  loop.io.restart();
  return stopped;
}

}  // namespace claude_init::access
