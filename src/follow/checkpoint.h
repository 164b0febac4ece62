#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "fs/identity.h"

namespace claude_init::follow {

/// Has a login saved soon after the CLI has written it, so that a container that is killed then loses
/// nothing: `save` is called 300 ms after `.credentials.json` was last written or replaced, and within 800 ms
/// in any case. By inotify: no wakeups when nothing happens. A file system that inotify cannot see on (or no
/// watch left) leaves it to the capture at the end. To be destroyed before the loop runs again without it.
class Checkpoint {
 public:
  /// `save` returns whether it is done: false asks to be called again a little later.
  Checkpoint(boost::asio::io_context& io, std::function<bool()> save);

  /// Watches `config_dir` with the rights of `who`. Error: it cannot be watched.
  Result<void> watch(const std::string& config_dir, fs::Identity who);

 private:
  void read_events();
  bool login_was_written();
  void save_soon();

  boost::asio::posix::stream_descriptor events_;
  boost::asio::steady_timer timer_;
  std::function<bool()> save_;
  SteadyTime save_by_ = SteadyTime::max();  // max: nothing to be saved
};

}  // namespace claude_init::follow
