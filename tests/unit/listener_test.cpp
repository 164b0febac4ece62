#include "keep/listener.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "keep/accept.h"
#include "keep/host.h"

using namespace claude_init;
using namespace claude_init::keep;
namespace asio = boost::asio;

namespace {

struct Served {
  asio::io_context io{1};
  Listener listener{io,
                    [](const Request& request) {
                      return Answer{request.method == "GET" || request.method == "HEAD" ? 200u : 405u,
                                    "text/plain",
                                    "<" + std::string(request.target) + ">" + std::string(request.accept)};
                    },
                    {"x"}};
  Served() { REQUIRE(listener.listen({asio::ip::make_address("127.0.0.1"), 0})); }

  UniqueFd connect() {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(listener.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
  }
  void turn() {
    for (int i = 0; i < 20; ++i) io.run_for(std::chrono::milliseconds(1)), io.restart();
  }
  /// Whether that is an answer with all of its body, or without one where it was asked for by HEAD.
  static bool is_whole(const std::string& got, bool head) {
    const std::size_t fields_end = got.find("\r\n\r\n");
    if (fields_end == std::string::npos) return false;
    const std::size_t length = got.find("Content-Length: ");
    return head || length == std::string::npos ||
           got.size() - fields_end - 4 >= std::stoul(got.substr(length + std::strlen("Content-Length: ")));
  }
  /// One answer, or what comes until the other end closes.
  std::string received(int fd, bool head = false) {
    std::string all;
    for (int i = 0; i < 3000 && !is_whole(all, head); ++i) {
      turn();
      std::string out(64 << 10, '\0');
      const ssize_t n = ::recv(fd, out.data(), out.size(), MSG_DONTWAIT);
      if (n == 0 || (n < 0 && errno == ECONNRESET)) break;
      if (n > 0) all += out.substr(0, static_cast<std::size_t>(n));
    }
    return all;
  }
  std::string ask(int fd, std::string_view request) {
    REQUIRE(::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size()));
    return received(fd, request.starts_with("HEAD "));
  }
  bool is_closed(int fd) {
    turn();
    char c = 0;
    const ssize_t n = ::recv(fd, &c, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno == ECONNRESET);
  }
  bool is_closed_soon(int fd) {
    for (int i = 0; i < 3000; ++i) {
      if (is_closed(fd)) return true;
    }
    return false;
  }
};

}  // namespace

TEST_CASE("an address to listen on: what is one and what is not", "[keep]") {
  const auto shown = [](std::string_view text) {
    const auto parsed = parse_address(text);
    return parsed ? parsed->address().to_string() + " " + std::to_string(parsed->port()) : "refused";
  };
  CHECK(shown("127.0.0.1:8080") == "127.0.0.1 8080");
  CHECK(shown("8080") == ":: 8080");
  CHECK(shown(":8080") == ":: 8080");
  CHECK(shown("[::]:8080") == ":: 8080");
  for (const char* wrong : {"", "x", "127.0.0.1:", "127.0.0.1:99999", "localhost:80", "1.2.3:80", "::1:80x"})
    CHECK(shown(wrong) == "refused");
}

TEST_CASE("an address that somebody else has is named as it is written, with what to do", "[keep]") {
  asio::io_context io(1);
  Listener first(io, [](const Request&) { return Answer{}; });
  REQUIRE(first.listen(*parse_address(":0")).ok());
  Listener second(io, [](const Request&) { return Answer{}; });
  const auto refused = second.listen({asio::ip::address_v6::any(), first.port()});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().message().starts_with("listen on [::]:" + std::to_string(first.port()) + ": "));
  CHECK(refused.error().remedy.find("name another port") != std::string::npos);
}

TEST_CASE("every address is those of IPv4 too", "[keep]") {
  asio::io_context io(1);
  Listener listener(io, [](const Request&) { return Answer{}; });
  REQUIRE(listener.listen(*parse_address(":0")).ok());
  asio::ip::tcp::socket client(io);
  boost::system::error_code failure;
  client.connect({asio::ip::make_address("127.0.0.1"), listener.port()}, failure);
  CHECK_FALSE(failure);
}

TEST_CASE("a listener that is closed while clients wait comes to rest", "[keep]") {
  Served served;
  const UniqueFd clients[] = {served.connect(), served.connect(), served.connect()};
  REQUIRE(served.io.poll_one() == 1);  // the first is accepted, and the next with it
  served.listener.close();
  served.io.restart();
  int handlers = 0;
  while (handlers < 1000 && served.io.poll_one() > 0) ++handlers;
  CHECK(handlers < 100);
}

TEST_CASE("GET and HEAD are answered on one connection", "[keep]") {
  Served served;
  const UniqueFd client = served.connect();
  const std::string first = served.ask(client.get(), "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(first.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(first.ends_with("\r\n\r\n</a>"));
  const std::string second = served.ask(client.get(), "HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(second.find("Content-Length: 4") != std::string::npos);
  CHECK(second.ends_with("\r\n\r\n"));
}

TEST_CASE("what has a body, is too long or is garbage ends the connection", "[keep]") {
  Served served;
  SECTION("a body") {
    const UniqueFd client = served.connect();
    const std::string got =
        served.ask(client.get(), "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
    CHECK(got.starts_with("HTTP/1.1 405 "));
    CHECK(served.is_closed_soon(client.get()));
  }
  SECTION("a head of more than 8 KiB") {
    const UniqueFd client = served.connect();
    const std::string request = "GET / HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n";
    CHECK(served.ask(client.get(), request).starts_with("HTTP/1.1 431 "));
    CHECK(served.is_closed_soon(client.get()));
  }
  SECTION("no HTTP, whatever follows it") {
    for (const std::string_view garbage :
         {std::string_view("\0\1\2\3\r\n\r\n", 8), std::string_view("GET /a b HTTP/1.1\r\n\r\n"),
          std::string_view("GET / HTTP/1.1\r\nHost: x\r\nno field\r\n\r\n"),
          std::string_view("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
          std::string_view("GET / HTTP/9.9\r\nHost: x\r\n\r\n")}) {
      INFO(garbage);
      const UniqueFd client = served.connect();
      const std::string got = served.ask(client.get(), std::string(garbage) + std::string(20'000, 'y'));
      CHECK(got.starts_with("HTTP/1.1 400 "));
      CHECK(got.find("Connection: close") != std::string::npos);
      CHECK(served.is_closed_soon(client.get()));
    }
  }
  SECTION("half a request") {
    const UniqueFd client = served.connect();
    REQUIRE(::send(client.get(), "GET / HT", 8, MSG_NOSIGNAL) == 8);
    ::shutdown(client.get(), SHUT_WR);
    CHECK(served.received(client.get()).starts_with("HTTP/1.1 400 "));
  }
}

TEST_CASE("a name that is not ours is not answered to, whatever is asked", "[keep]") {
  Served served;
  const auto ask = [&](const std::string& fields, std::string_view version = "1.1") {
    const UniqueFd client = served.connect();
    return served.ask(client.get(), fmt::format("GET /status HTTP/{}\r\n{}\r\n", version, fields));
  };
  CHECK(ask("Host: x\r\n").starts_with("HTTP/1.1 200 "));
  CHECK(ask("Host: 127.0.0.1:8080\r\n").starts_with("HTTP/1.1 200 "));
  const std::string refused = ask("Host: rebound.example:8080\r\n");
  CHECK(refused.starts_with("HTTP/1.1 421 "));
  CHECK(refused.find("--allow-host rebound.example") != std::string::npos);
  CHECK(refused.find("</status>") == std::string::npos);
  CHECK(ask("").starts_with("HTTP/1.1 400 "));
  CHECK(ask("Host: x\r\nHost: x\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(ask("", "1.0").starts_with("HTTP/1.0 200 "));
  CHECK(ask("Host: rebound.example\r\n", "1.0").starts_with("HTTP/1.0 421 "));
}

TEST_CASE("which Host is ours", "[keep]") {
  const std::vector<std::string> allowed{"keeper", "Claude.Example.org."};
  for (const char* ours : {"localhost", "LOCALHOST:80", "a.localhost", "localhost.", "127.0.0.1",
                           "127.0.0.1:1", "10.1.2.3:65535", "[::1]", "[::1]:8080", "[2001:db8::1]",
                           "keeper:8080", "KEEPER", "claude.example.org", "claude.example.org.:80"}) {
    INFO(ours);
    CHECK(is_allowed_host(ours, allowed));
  }
  for (const char* other : {"", ":", ":80", ".", "evil.example", "localhost.evil.example", "xlocalhost",
                            "127.0.0.1.x", "127.0.0.1@evil", "1.2.3", "0x7f.1", "[::1", "[::1]x", "[evil]",
                            "::1", "keeper.evil", "keeper:8080:1", "keeper:x", "notkeeper"}) {
    INFO(other);
    CHECK_FALSE(is_allowed_host(other, allowed));
  }
}

TEST_CASE("all that a client accepts is passed on", "[keep]") {
  Served served;
  const UniqueFd client = served.connect();
  CHECK(
      served
          .ask(client.get(), "GET / HTTP/1.1\r\nHost: x\r\nAccept: a/b\r\nX: y\r\nAccept: c/d;q=0.1\r\n\r\n")
          .ends_with("</>a/b,c/d;q=0.1"));
}

TEST_CASE("OpenMetrics is for those who ask for it and like it better", "[keep]") {
  const auto wants = [](std::string_view accept) {
    return wanted_exposition(accept) == health::Exposition::openmetrics;
  };
  for (const char* text :
       {"", "*/*", "text/plain", "text/plain;version=0.0.4", "text/*", "application/*", "garbage",
        ",;,q=", "application/openmetrics-text;q=0", "application/openmetrics-text;q=0.5,text/plain;q=0.6",
        "application/openmetrics-text;q=0.5,*/*", "application/openmetrics-text;q=x",
        "application/openmetrics-text;version=0.0.1", "application/openmetrics-text,text/plain",
        // telegraf
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.1",
        // a browser
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}) {
    INFO(text);
    CHECK_FALSE(wants(text));
  }
  for (const char* openmetrics :
       {"application/openmetrics-text", "Application/OpenMetrics-Text; Version=1.0.0 ; Q=0.9",
        "application/openmetrics-text;version=\"1.0.0\"",
        "text/plain;q=0.5, application/openmetrics-text;q=0.501",
        // Prometheus 2.55 and 3
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,"
        "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;"
        "version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/"
        "plain;version=0.0.4;q=0.3,*/*;"
        "q=0.2"}) {
    INFO(openmetrics);
    CHECK(wants(openmetrics));
  }
}

TEST_CASE("a probe gets through a flood of clients that say nothing", "[keep]") {
  Served served;
  std::vector<UniqueFd> flood;
  for (std::size_t i = 0; i < Listener::kMostConnections; ++i) flood.push_back(served.connect());
  served.turn();
  CHECK_FALSE(served.is_closed(flood.front().get()));
  const UniqueFd probe = served.connect();
  CHECK(served.ask(probe.get(), "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            .starts_with("HTTP/1.1 200"));
  CHECK(served.is_closed_soon(flood.front().get()));  // the oldest made room
  CHECK_FALSE(served.is_closed(flood.back().get()));
}

TEST_CASE("an address that is in use is an error that names it", "[keep]") {
  Served served;
  asio::io_context io;
  Listener second(io, {});
  const auto refused = second.listen({asio::ip::make_address("127.0.0.1"), served.listener.port()});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message().find("127.0.0.1:") != std::string::npos);
}
