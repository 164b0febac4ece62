#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace claude_init::loop {

/// inotify(7) in the loop: one instance for the whole process, since a user has 128 of them, whose watches
/// several listeners share, since a directory has one watch in an instance. Opened with the first watch. And,
/// once for all of them too, what inotify does not tell: mounts.
class Inotify {
 public:
  /// The mask is that of the event; IN_Q_OVERFLOW (watch -1) comes to everybody and means that anything may
  /// have happened.
  struct Event {
    int watch = -1;
    std::uint32_t mask = 0;
    std::string_view name;  // of the directory's entry, "" for the directory itself
  };
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_event(const Event& event) = 0;
    /// Something was mounted or unmounted, mostly elsewhere.
    virtual void on_mounts() {}
  };

  explicit Inotify(boost::asio::io_context& io);
  ~Inotify();
  Inotify(const Inotify&) = delete;
  Inotify& operator=(const Inotify&) = delete;

  /// Watches a directory for a listener, with the rights of the calling thread; the same directory again
  /// gives the same number, and its masks add up. Errors: limit (no instance, no_space: no watch left),
  /// not_found, permission.
  Result<int> add(const std::string& directory, std::uint32_t mask, Listener& listener);
  /// From here on the listener is called for mounts too.
  void watch_mounts(Listener& listener);
  /// The listener is not called for this watch any more. A number that is not its own is no error.
  void remove(int watch, Listener& listener);
  /// Nor of any, nor of mounts.
  void forget(Listener& listener);

 private:
  struct State;
  std::shared_ptr<State> state_;  // outlives this for a handler that is due already
};

}  // namespace claude_init::loop
