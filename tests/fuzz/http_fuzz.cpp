// libFuzzer over the keeper's listener: bytes of a client, whole and in two pieces, on a real connection.
// Nothing that one sends may crash it, be answered with anything but what it has, or keep the next one from
// its answer.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "keep/listener.h"
#include "store/inspect.h"

using namespace claude_init;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

/// A keeper of one store, which is dead: everything that there is to be said of one is said.
class Served {
 public:
  Served()
      : listener_(
            io_,
            [this](const keep::Request& request) { return keep::answer(request, [this] { return view(); }); },
            {"x"}) {
    store::Inspection seen;
    seen.state = login::State::dead;
    seen.email = "a@example.org";
    seen.login = login::Login{};
    static_cast<void>(monitor_.observe(seen, 1));
    require(listener_.listen({boost::asio::ip::make_address("127.0.0.1"), 0}).ok());
  }

  /// What is answered to these bytes, sent in two pieces.
  std::string ask(std::string_view bytes, std::size_t first) {
    const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(listener_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    require(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    const linger at_once{1, 0};  // else the closed connections would use up the ports
    require(::setsockopt(client, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
    std::string answer;
    for (const std::string_view piece : {bytes.substr(0, first), bytes.substr(first)}) {
      static_cast<void>(::send(client, piece.data(), piece.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
      turn();
      char got[64 << 10];
      for (ssize_t n; (n = ::recv(client, got, sizeof got, MSG_DONTWAIT)) > 0; turn())
        answer.append(got, static_cast<std::size_t>(n));
    }
    ::close(client);
    turn();
    return answer;
  }

 private:
  void turn() {
    io_.restart();
    while (io_.poll() > 0) io_.restart();
  }
  keep::Report view() {
    keep::Report view;
    view.now = 2;
    view.version = "0";
    view.stores.push_back({.record = &monitor_});
    return view;
  }

  boost::asio::io_context io_{1};
  keep::LoginMonitor monitor_{"dev", {}};
  keep::Listener listener_;
};

bool is_ours(std::string_view answer) {
  if (!answer.starts_with("HTTP/1.1 ") && !answer.starts_with("HTTP/1.0 ")) return false;
  const std::string_view status = answer.substr(9, 3);
  return status == "200" || status == "400" || status == "404" || status == "405" || status == "421" ||
         status == "431" || status == "503";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Served served;
  static unsigned inputs = 0;
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string answer = served.ask(bytes, std::min<std::size_t>(data[0], bytes.size()));
  require(answer.empty() || is_ours(answer));
  // Only who begins with GET or HEAD is told anything; blank lines before a request are let pass.
  const std::size_t begin = bytes.find_first_not_of("\r\n");
  const std::string_view request = begin == std::string_view::npos ? "" : bytes.substr(begin);
  if (answer.substr(0, 12).ends_with("200"))
    require(request.starts_with("GET ") || request.starts_with("HEAD "));
  // From time to time, and first of all: somebody who asks as he should.
  if (inputs++ % 16 == 0) {
    const std::string live = served.ask("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", 5);
    require(live.starts_with("HTTP/1.1 200") && live.ends_with("\r\n\r\nok\n"));
  }
  return 0;
}
