#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "keep/routes.h"

namespace claude_init::keep {

/// Where to listen: "127.0.0.1:8080", "[::1]:8080", and for every address of both kinds ":8080", "8080" and
/// "[::]:8080". Error: usage.
[[nodiscard]] Result<boost::asio::ip::tcp::endpoint> parse_address(std::string_view text);

/// HTTP/1.1 for probes, Prometheus and a browser, on the keeper's own event loop. Nothing that a client does
/// holds up anything else: a request's head is at most 8 KiB and may take 10 s, bodies are not read, and of
/// more than 64 connections the oldest is closed for the newest, so that a probe gets through a flood of slow
/// ones. 400 for what is no request, 431 for a head that is too long, 421 for a Host that is not ours
/// (keep/host.h) nor one of `hosts`.
class Listener {
 public:
  using Answers = std::function<Answer(const Request&)>;
  static constexpr std::size_t kMostConnections = 64;

  Listener(boost::asio::io_context& io, Answers answers, std::vector<std::string> hosts = {});
  ~Listener();

  /// Where there is no IPv6, every address is those of IPv4. Error: the address cannot be had (in use, not
  /// ours, a port below 1024 without the right).
  [[nodiscard]] Result<void> listen(boost::asio::ip::tcp::endpoint endpoint);
  /// The port that it got, where 0 was asked for.
  [[nodiscard]] unsigned short port() const;
  void close();

 private:
  class Connection;
  [[nodiscard]] boost::system::error_code open(const boost::asio::ip::tcp::endpoint& endpoint);
  void accept();
  void accept_later();
  void add(boost::asio::ip::tcp::socket socket);

  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer again_;
  const Answers answers_;
  const std::vector<std::string> hosts_;
  std::list<std::weak_ptr<Connection>> connections_;  // the oldest first
};

}  // namespace claude_init::keep
