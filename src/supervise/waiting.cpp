#include "supervise/waiting.h"

#include <signal.h>
#include <sys/epoll.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <utility>

#include "supervise/signals.h"

namespace claude_init::supervise {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

class SignalsOnly : public Waiting {
 public:
  // EINTR is no signal that could be had: somebody traces us, or we were stopped and continued. Not for ever.
  Result<std::optional<signalfd_siginfo>> next(SteadyTime until) override {
    constexpr int kMostInterruptions = 1000;
    for (int interrupted = 0;; ++interrupted) {
      signalfd_siginfo info{};
      const int error = await_signal(info, until);
      if (error == 0) return std::optional(info);
      if (error == EAGAIN) return std::optional<signalfd_siginfo>();
      if (error != EINTR || interrupted == kMostInterruptions)
        return system_error(error, "wait for a signal");
    }
  }

  std::optional<signalfd_siginfo> pending() override {
    const auto signal = next(steady_clock::now());
    return signal ? *signal : std::nullopt;
  }
};

/// What waits on the loop, kept alive by it: others run the same loop after us, and a handler of ours may be
/// due by then.
struct OnLoop : std::enable_shared_from_this<OnLoop> {
  explicit OnLoop(asio::io_context& io) : descriptor(io), timer(io) {}

  void await_readable() {
    awaited = true;
    descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const error_code& error) {
                            self->awaited = false;
                            self->readable = !error;
                            self->failure = error;
                          });
  }

  asio::posix::stream_descriptor descriptor;
  asio::steady_timer timer;
  bool awaited = false;
  bool readable = true;
  error_code failure;
};

class SignalsOnLoop : public Waiting {
 public:
  explicit SignalsOnLoop(asio::io_context& io) : io_(io), on_loop_(std::make_shared<OnLoop>(io)) {}
  SignalsOnLoop(const SignalsOnLoop&) = delete;
  SignalsOnLoop& operator=(const SignalsOnLoop&) = delete;
  ~SignalsOnLoop() override {
    on_loop_->timer.cancel();
    error_code ignored;
    on_loop_->descriptor.close(ignored);
  }

  void assign(UniqueFd signal_fd) {
    on_loop_->descriptor.assign(signal_fd.get());
    static_cast<void>(signal_fd.release());
  }

  Result<std::optional<signalfd_siginfo>> next(SteadyTime until) override {
    const bool others_are_due = batch_.is_full();
    if (auto signal = others_are_due ? std::nullopt : take()) {
      batch_.count();
      return signal;
    }
    if (!on_loop_->awaited) on_loop_->await_readable();
    if (std::exchange(wakes_at_, until) != until) {
      on_loop_->timer.expires_at(until);
      if (until != SteadyTime::max()) on_loop_->timer.async_wait([](const error_code&) {});
    }
    if (io_.stopped()) io_.restart();  // by somebody, or it was out of work the last time it ran
    try {
      others_are_due ? io_.poll() : io_.run_one();
    } catch (const boost::system::system_error& e) {
      return system_error(e.code().value(), "run the event loop");
    }
    if (on_loop_->failure) return system_error(on_loop_->failure.value(), "wait for a signal");
    batch_ = Batch();
    return take();
  }

  std::optional<signalfd_siginfo> pending() override {
    on_loop_->readable = true;  // the loop does not run, and would not tell
    return take();
  }

 private:
  std::optional<signalfd_siginfo> take() {
    if (given_ == had_) read();
    if (given_ == had_) return std::nullopt;
    return read_[given_++];
  }

  /// Those that are pending. Fewer than there is room for were all.
  void read() {
    given_ = had_ = 0;
    if (!on_loop_->readable) return;
    had_ = read_signals(on_loop_->descriptor.native_handle(), read_);
    on_loop_->readable = had_ == read_.size();
  }

  asio::io_context& io_;
  std::shared_ptr<OnLoop> on_loop_;
  SteadyTime wakes_at_ = SteadyTime::max();
  std::array<signalfd_siginfo, 8> read_{};
  Batch batch_;
  std::size_t given_ = 0;
  std::size_t had_ = 0;
};

}  // namespace

std::unique_ptr<Waiting> wait_for_signals_only() {
  return std::make_unique<SignalsOnly>();
}

Result<std::unique_ptr<Waiting>> wait_on_loop(asio::io_context& io) {
  auto signal_fd = open_signal_fd();
  if (!signal_fd) return signal_fd.error();
  try {
    auto waiting = std::make_unique<SignalsOnLoop>(io);
    waiting->assign(std::move(*signal_fd));
    return std::unique_ptr<Waiting>(std::move(waiting));
  } catch (const boost::system::system_error& e) {
    return system_error(e.code().value(), "wait on the event loop");
  }
}

}  // namespace claude_init::supervise

/// The linker has everybody call this instead (CMakeLists.txt): Asio takes a failure for "nothing has
/// happened" and asks again, for ever.
extern "C" int __real_epoll_wait(int, epoll_event*, int, int);  // NOLINT: the linker's names
extern "C" int __wrap_epoll_wait(int fd, epoll_event* events, int most, int timeout);  // NOLINT
int __wrap_epoll_wait(int fd, epoll_event* events, int most, int timeout) {            // NOLINT
  constexpr int kMostInterruptions = 1000;
  static int interrupted = 0;
  const int found = __real_epoll_wait(fd, events, most, timeout);
  if (found >= 0) {
    interrupted = 0;
    return found;
  }
  if (errno != EINTR || ++interrupted > kMostInterruptions) {
    throw boost::system::system_error(errno, boost::system::system_category(), "epoll_wait");
  }
  return found;
}
