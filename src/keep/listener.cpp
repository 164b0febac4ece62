#include "keep/listener.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "base/text.h"
#include "log/log.h"

namespace claude_init::keep {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::chrono::seconds kPatience{10};  // for a request's head, and for the answer to be taken
constexpr std::uint32_t kMostHead = 8 << 10;
constexpr std::chrono::milliseconds kAcceptAgain{200};  // after it failed

Error wrong_address(std::string_view text) {
  return make_error(ErrorKind::usage, fmt::format("'{}' is not an address to listen on", printable(text)),
                    "write ADDR:PORT, such as :8080, 127.0.0.1:8080 or [::1]:8080");
}

/// As --listen takes it: "127.0.0.1:8080", "[::]:8080".
std::string shown(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

/// What to do about an address that cannot be had.
std::string remedy_for(const error_code& failure) {
  if (failure == asio::error::address_in_use)
    return "somebody else listens there: name another port, --listen ADDR:PORT";
  if (failure == asio::error::access_denied) return "name a port from 1024 on, --listen ADDR:PORT";
  if (failure.value() == EADDRNOTAVAIL) return "name an address of this machine, or :PORT for all of them";
  return "";
}

}  // namespace

Result<tcp::endpoint> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  const std::string_view port_text = colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::string address(colon == std::string_view::npos ? "" : text.substr(0, colon));
  unsigned short port = 0;
  const auto [end, ec] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (port_text.empty() || ec != std::errc{} || end != port_text.data() + port_text.size())
    return wrong_address(text);
  if (address.empty()) return tcp::endpoint(tcp::v6(), port);
  if (address.front() == '[' && address.back() == ']') address = address.substr(1, address.size() - 2);
  error_code failure;
  const auto parsed = asio::ip::make_address(address, failure);
  if (failure) return wrong_address(text);
  return tcp::endpoint(parsed, port);
}

/// One client. Kept alive by what it waits for.
class Listener::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const Answers& answers) : stream_(std::move(socket)), answers_(answers) {}

  void read() {
    parser_.emplace();
    parser_->header_limit(kMostHead);
    parser_->body_limit(boost::none);  // none is read
    stream_.expires_after(kPatience);
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code failure, std::size_t) {
                              if (!failure) self->answer();
                            });
  }

  void close() {
    error_code ignored;
    stream_.socket().close(ignored);
  }

 private:
  void answer() {
    const auto& request = parser_->get();
    const auto target = request.target();
    const auto method = request.method_string();
    Answer answer = answers_({method.data(), method.size()}, {target.data(), target.size()});
    response_ = {};
    response_.version(request.version());
    response_.result(answer.status);
    response_.set(http::field::content_type, {answer.type.data(), answer.type.size()});
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    response_.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    if (answer.status == 405) response_.set(http::field::allow, "GET, HEAD");
    // A body is not read, so what follows it could not be told from a next request.
    const bool has_body = parser_->content_length().value_or(0) != 0 || parser_->chunked();
    response_.keep_alive(request.keep_alive() && !has_body && answer.status != 405);
    response_.body() = std::move(answer.body);
    response_.prepare_payload();
    serializer_.emplace(response_);
    serializer_->split(request.method() == http::verb::head);
    stream_.expires_after(kPatience);
    const auto done = [self = shared_from_this()](error_code failure, std::size_t) {
      if (failure || !self->response_.keep_alive()) return self->close();
      self->read();
    };
    if (request.method() == http::verb::head) {
      http::async_write_header(stream_, *serializer_, done);
    } else {
      http::async_write(stream_, *serializer_, done);
    }
  }

  beast::tcp_stream stream_;
  const Answers& answers_;
  beast::flat_buffer buffer_{kMostHead + 1024};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
};

Listener::Listener(asio::io_context& io, Answers answers)
    : acceptor_(io), again_(io), answers_(std::move(answers)) {}

Listener::~Listener() {
  close();
}

error_code Listener::open(const tcp::endpoint& endpoint) {
  error_code failure;
  acceptor_.open(endpoint.protocol(), failure);
  if (!failure) ::fcntl(acceptor_.native_handle(), F_SETFD, FD_CLOEXEC);
  if (!failure) acceptor_.set_option(tcp::acceptor::reuse_address(true), failure);
  // "::" is every address, of both kinds, whatever the system's default is.
  if (!failure && endpoint.address().is_v6()) acceptor_.set_option(asio::ip::v6_only(false), failure);
  if (!failure) acceptor_.bind(endpoint, failure);
  if (!failure) acceptor_.listen(tcp::acceptor::max_listen_connections, failure);
  return failure;
}

Result<void> Listener::listen(tcp::endpoint endpoint) {
  error_code failure = open(endpoint);
  const bool no_ipv6 =
      failure == asio::error::address_family_not_supported || failure.value() == EADDRNOTAVAIL;
  if (no_ipv6 && endpoint.address() == asio::ip::address_v6::any()) {
    error_code ignored;
    acceptor_.close(ignored);
    endpoint = tcp::endpoint(tcp::v4(), endpoint.port());
    failure = open(endpoint);
  }
  if (failure) {
    Error error = system_error(failure.value(), "listen on " + shown(endpoint));
    if (error.remedy.empty()) error.remedy = remedy_for(failure);
    return error;
  }
  log::info("listening", {{"address", endpoint.address().to_string()}, {"port", port()}});
  accept();
  return Done{};
}

unsigned short Listener::port() const {
  error_code failure;
  const auto endpoint = acceptor_.local_endpoint(failure);
  return failure ? static_cast<unsigned short>(0) : endpoint.port();
}

void Listener::close() {
  error_code ignored;
  acceptor_.close(ignored);
  again_.cancel();
  for (const auto& weak : connections_) {
    if (const auto connection = weak.lock()) connection->close();
  }
  connections_.clear();
}

void Listener::accept() {
  acceptor_.async_accept([this](error_code failure, tcp::socket socket) {
    if (failure == asio::error::operation_aborted || !acceptor_.is_open()) return;
    // Without descriptors or memory the connection stays in the queue, and accept would fail at once again.
    if (failure) return accept_later();
    add(std::move(socket));
    accept();
  });
}

void Listener::accept_later() {
  again_.expires_after(kAcceptAgain);
  again_.async_wait([this](error_code failure) {
    if (!failure && acceptor_.is_open()) accept();
  });
}

void Listener::add(tcp::socket socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
  connections_.remove_if([](const auto& weak) { return weak.expired(); });
  if (connections_.size() >= kMostConnections) {
    if (const auto oldest = connections_.front().lock()) oldest->close();
    connections_.pop_front();
  }
  const auto connection = std::make_shared<Connection>(std::move(socket), answers_);
  connections_.push_back(connection);
  connection->read();
}

}  // namespace claude_init::keep
