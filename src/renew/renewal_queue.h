#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>

namespace claude_init::renew {

/// One after another: a process that renews many logins starts one command at a time, since each
/// takes kCliMegabytes, and a hundred that are due together are not renewed in the same second.
class RenewalQueue {
 public:
  /// A turn that a renewal has; the next one begins when this is destroyed.
  class Turn {
   public:
    explicit Turn(RenewalQueue* turns) : turns_(turns) {}
    Turn(Turn&& other) noexcept : turns_(other.turns_) { other.turns_ = nullptr; }
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    RenewalQueue* turns_;
  };

  explicit RenewalQueue(boost::asio::io_context& io) : io_(io) {}
  RenewalQueue(const RenewalQueue&) = delete;
  RenewalQueue& operator=(const RenewalQueue&) = delete;

  /// Calls `go` from the loop when it is the caller's turn, in the order of asking.
  void ask(std::function<void(Turn)> go);

 private:
  void next();

  boost::asio::io_context& io_;
  std::deque<std::function<void(Turn)>> waiting_;
  bool taken_ = false;
};

}  // namespace claude_init::renew
