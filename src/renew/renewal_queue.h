#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <memory>

namespace claude_init::renew {

/// One after another: whoever renews many logins in one process starts one command at a time, since each
/// takes kCliMegabytes, and a hundred that are due together are not renewed in the same second.
class Turns {
 public:
  /// A turn that somebody has; the next one's begins when it is destroyed.
  class Turn {
   public:
    explicit Turn(Turns* turns) : turns_(turns) {}
    Turn(Turn&& other) noexcept : turns_(other.turns_) { other.turns_ = nullptr; }
    Turn& operator=(Turn&&) = delete;
    ~Turn();

   private:
    Turns* turns_;
  };

  explicit Turns(boost::asio::io_context& io) : io_(io) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;

  /// Calls `go` from the loop when it is the caller's turn, in the order of asking.
  void ask(std::function<void(Turn)> go);

 private:
  void next();

  boost::asio::io_context& io_;
  std::deque<std::function<void(Turn)>> waiting_;
  bool taken_ = false;
};

}  // namespace claude_init::renew
