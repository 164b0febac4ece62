#include "keep/listener.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <optional>
#include <utility>

#include "base/text.h"
#include "keep/host.h"
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
constexpr std::size_t kMostUnread = 256 << 10;  // of what a client goes on sending after its last answer
constexpr std::size_t kPiece = 4 << 10;
constexpr std::string_view kText = "text/plain; charset=utf-8";
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
    return "another process listens there: name another port, --listen ADDR:PORT";
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
  if (!read_number(port_text, port)) return wrong_address(text);
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
  Connection(tcp::socket socket, const Answers& answers, const std::vector<std::string>& hosts)
      : stream_(std::move(socket)), answers_(answers), hosts_(hosts) {}

  void read() {
    parser_.emplace();
    parser_->header_limit(kMostHead);
    parser_->body_limit(boost::none);  // none is read
    stream_.expires_after(kPatience);
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code failure, std::size_t) {
                              if (!failure) return self->answer();
                              self->refuse(failure);
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
    std::string accept;
    const auto [first, last] = request.equal_range(http::field::accept);
    for (auto field = first; field != last; ++field) {
      if (!accept.empty()) accept += ',';
      accept.append(field->value().data(), field->value().size());
    }
    auto wrong = check_host(request);
    Answer answer = wrong
                        ? std::move(*wrong)
                        : answers_({{method.data(), method.size()}, {target.data(), target.size()}, accept});
    // A body is not read, so what follows it could not be told from a next request.
    const bool has_body = parser_->content_length().value_or(0) != 0 || parser_->chunked();
    const bool keep = request.keep_alive() && !has_body && answer.status != 400 && answer.status != 405;
    send(std::move(answer), request.version(), keep, request.method() == http::verb::head);
  }

  /// What is wrong with the Host field or fields. HTTP/1.0 needs none, and a browser always sends one.
  [[nodiscard]] std::optional<Answer> check_host(const http::request<http::empty_body>& request) const {
    const std::size_t fields = request.count(http::field::host);
    if (fields == 0 && request.version() < 11) return std::nullopt;
    if (fields != 1) return Answer{400, kText, "a request has one Host field\n"};
    const auto field = request[http::field::host];
    const std::string host(field.data(), field.size());
    if (is_allowed_host(host, hosts_)) return std::nullopt;
    const std::string name = printable(host.substr(0, host.find(':')));
    return Answer{
        421, kText,
        fmt::format("there is nothing here under the name '{}'\n→ ask by address, or let the keeper "
                    "answer to it: --allow-host {} (CLAUDE_INIT_ALLOW_HOST)\n",
                    name, shell_quote(name))};
  }

  /// What could not be read: an answer for what is no HTTP, none for who has gone or is too slow.
  void refuse(const error_code& failure) {
    static const auto* const of_http = &http::make_error_code(http::error::bad_method).category();
    if (failure.category() != *of_http || failure == http::error::end_of_stream) return close();
    const bool long_head = failure == http::error::header_limit || failure == http::error::buffer_overflow;
    Answer answer = long_head ? Answer{431, kText, "a request's head has at most 8 KiB\n"}
                              : Answer{400, kText, "this is not an HTTP/1.1 request\n"};
    send(std::move(answer), 11, false, false);
  }

  void send(Answer answer, unsigned version, bool keep, bool head) {
    response_ = {};
    response_.version(version);
    response_.result(answer.status);
    response_.set(http::field::content_type, {answer.type.data(), answer.type.size()});
    response_.set(http::field::cache_control, "no-store");
    response_.set("X-Content-Type-Options", "nosniff");
    response_.set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
    response_.set(http::field::vary, "Accept");
    if (answer.status == 405) response_.set(http::field::allow, "GET, HEAD");
    response_.keep_alive(keep);
    response_.body() = std::move(answer.body);
    response_.prepare_payload();
    serializer_.emplace(response_);
    serializer_->split(head);
    stream_.expires_after(kPatience);
    const auto done = [self = shared_from_this()](error_code failure, std::size_t) {
      if (failure) return self->close();
      if (self->response_.keep_alive()) return self->read();
      self->end();
    };
    if (head) {
      http::async_write_header(stream_, *serializer_, done);
    } else {
      http::async_write(stream_, *serializer_, done);
    }
  }

  /// Closing a connection with something unread in it would take the answer away from the client.
  void end() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    unread_ = kMostUnread;
    stream_.expires_after(kPatience);
    drop_unread();
  }

  void drop_unread() {
    buffer_.consume(buffer_.size());
    stream_.async_read_some(buffer_.prepare(kPiece),
                            [self = shared_from_this()](error_code failure, std::size_t read) {
                              self->unread_ -= std::min(read, self->unread_);
                              if (failure || self->unread_ == 0) return self->close();
                              self->drop_unread();
                            });
  }

  beast::tcp_stream stream_;
  const Answers& answers_;
  const std::vector<std::string>& hosts_;
  std::size_t unread_ = 0;  // how much more is read of what nobody answers
  beast::flat_buffer buffer_{kMostHead + 1024};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
  std::optional<http::response_serializer<http::string_body>> serializer_;
};

Listener::Listener(asio::io_context& io, Answers answers, std::vector<std::string> hosts)
    : acceptor_(io), again_(io), answers_(std::move(answers)), hosts_(std::move(hosts)) {}

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
  const auto connection = std::make_shared<Connection>(std::move(socket), answers_, hosts_);
  connections_.push_back(connection);
  connection->read();
}

}  // namespace claude_init::keep
