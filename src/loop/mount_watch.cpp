#include "loop/mount_watch.h"

#include <fcntl.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <utility>

#include "base/unique_fd.h"

namespace claude_init::loop {

struct MountWatch::State : std::enable_shared_from_this<State> {
  State(boost::asio::io_context& io, std::function<void()> call)
      : descriptor(io), on_change(std::move(call)) {}

  void wait() {
    descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_error,
                          [self = shared_from_this()](const boost::system::error_code& failure) {
                            if (failure || !self->descriptor.is_open()) return;
                            self->on_change();
                            if (self->descriptor.is_open()) self->wait();
                          });
  }

  boost::asio::posix::stream_descriptor descriptor;
  std::function<void()> on_change;
};

MountWatch::MountWatch(boost::asio::io_context& io, std::function<void()> on_change)
    : state_(std::make_shared<State>(io, std::move(on_change))) {
  UniqueFd fd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return;
  state_->descriptor.assign(fd.release());
  state_->wait();
}

MountWatch::~MountWatch() {
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

}  // namespace claude_init::loop
