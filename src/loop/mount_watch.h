#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

namespace claude_init::loop {

/// Calls `on_change` whenever something is mounted or unmounted in our mount namespace, which inotify does
/// not tell: proc_pid_mountinfo(5) can be polled for it. Where there is no /proc nothing is called, nor once
/// it has been destroyed.
class MountWatch {
 public:
  MountWatch(boost::asio::io_context& io, std::function<void()> on_change);
  ~MountWatch();
  MountWatch(const MountWatch&) = delete;
  MountWatch& operator=(const MountWatch&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;  // outlives this for a handler that is due already
};

}  // namespace claude_init::loop
