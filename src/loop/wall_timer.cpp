#include "loop/wall_timer.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <ctime>
#include <utility>

#include "base/unique_fd.h"

namespace claude_init::loop {

struct WallTimer::State : std::enable_shared_from_this<State> {
  explicit State(boost::asio::io_context& io) : descriptor(io) {}

  /// Where the time is in the past it expires at once; so does one whose clock is set at the moment of
  /// arming, which is what ECANCELED says here.
  Result<void> arm() {
    itimerspec spec{};
    const UnixMs at = std::max<UnixMs>(due, 1);  // 0 would disarm it
    spec.it_value.tv_sec = static_cast<time_t>(at / 1000);
    spec.it_value.tv_nsec = static_cast<long>(at % 1000) * 1'000'000;
    constexpr int kFlags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET;
    if (::timerfd_settime(descriptor.native_handle(), kFlags, &spec, nullptr) == 0) return Done{};
    if (errno != ECANCELED) return system_error(errno, "set a timer");
    due = 0;
    return arm();
  }

  void wait() {
    waiting = true;
    descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& failure) {
                            self->waiting = false;
                            if (!failure) self->woken();
                          });
  }

  void woken() {
    std::uint64_t expirations = 0;
    const bool expired = ::read(descriptor.native_handle(), &expirations, sizeof expirations) > 0;
    const bool was_set = !expired && errno == ECANCELED;
    if (!handler) return;
    if (unix_now() < due && !was_set) {  // of a time that is not asked for any more
      if (expired) static_cast<void>(arm());
      return wait();
    }
    const auto call = std::exchange(handler, nullptr);
    call();
  }

  boost::asio::posix::stream_descriptor descriptor;
  UnixMs due = 0;
  std::function<void()> handler;  // empty: nothing to be called
  bool waiting = false;
};

WallTimer::WallTimer(boost::asio::io_context& io) : state_(std::make_shared<State>(io)) {}

WallTimer::~WallTimer() {
  state_->handler = nullptr;
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

Result<void> WallTimer::at(UnixMs due, std::function<void()> handler) {
  if (!state_->descriptor.is_open()) {
    UniqueFd fd(::timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC));
    if (!fd.valid()) return system_error(errno, "set a timer");
    state_->descriptor.assign(fd.release());
  }
  state_->due = due;
  state_->handler = std::move(handler);
  if (auto armed = state_->arm(); !armed) return armed;
  if (!state_->waiting) state_->wait();
  return Done{};
}

void WallTimer::cancel() {
  state_->handler = nullptr;
  if (!state_->descriptor.is_open()) return;
  const itimerspec none{};
  ::timerfd_settime(state_->descriptor.native_handle(), 0, &none, nullptr);
}

}  // namespace claude_init::loop
