// A client that treats its login as the Claude CLI does, small enough to run a hundred of them on two cores.
//
//   small_client --print [--model MODEL] WORDS
//                                 one request to the model: its answer, or why there is none and status 1;
//                                 with ANTHROPIC_BASE_URL, which leads nowhere here, only a renewal that is
//                                 due
//   small_client auth status      renews a login that is due, as the CLI does; the status is always 0
//   small_client work SECONDS     requests, one every SECONDS, a line each ("ok", "failed: WHY"), until it is
//   killed
//
// CLAUDE_CONFIG_DIR      where the login is
// STAND_IN_PORT          the stand-in's plain port on loopback
// SMALL_CLIENT_EARLY=300 seconds before expiry from which on it renews a login that has a refresh token
//
// Not more than what test_small_client.py has compared with the CLI itself.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kLockIsStaleAfter = 60s;
constexpr auto kLockPatience = 4s;  // twice for one request: once ahead of it, once after a refusal

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : otherwise;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Answer {
  unsigned status = 0;  // 0: nobody answered
  json body;
};

Answer post(const std::string& path, const json& body, const std::string& access_token = {}) {
  try {
    asio::io_context io(1);
    boost::beast::tcp_stream stream(io);
    stream.connect({asio::ip::address_v4::loopback(),
                    static_cast<std::uint16_t>(std::stoi(variable("STAND_IN_PORT", "80")))});
    http::request<http::string_body> request(http::verb::post, path, 11);
    request.set(http::field::host, "api.anthropic.com");
    request.set(http::field::connection, "close");
    if (!access_token.empty()) request.set(http::field::authorization, "Bearer " + access_token);
    request.body() = body.dump();
    request.prepare_payload();
    http::write(stream, request);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    http::read(stream, buffer, response);
    return {response.result_int(), json::parse(response.body(), nullptr, false)};
  } catch (const boost::system::system_error&) {
    return {};
  }
}

/// The login file of one configuration directory, with the CLI's locks and its way of writing.
class LoginFile {
 public:
  explicit LoginFile(std::string directory)
      : directory_(std::move(directory)), path_(directory_ + "/.credentials.json") {}

  /// Read anew each time: somebody else may have replaced it. Null where there is no login to use.
  [[nodiscard]] json read() const {
    std::ifstream file(path_);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    json whole = json::parse(text, nullptr, false);
    if (!whole.is_object() || !whole.contains("claudeAiOauth")) return nullptr;
    const json& login = whole["claudeAiOauth"];
    const bool complete = login.is_object() && !login.value("accessToken", "").empty() &&
                          login.contains("scopes") && !login["scopes"].empty();
    return complete ? whole : json();
  }

  void write(const json& whole) const {
    const Lock lock(directory_ + "/.storage-write.lock");
    const std::string temporary = path_ + ".tmp." + std::to_string(::getpid());
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const std::string text = whole.dump();
    const bool written = fd >= 0 &&
                         ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                         ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    if (written) ::rename(temporary.c_str(), path_.c_str());
  }

  /// 1. Without a refresh token, or with a token that lasts, nothing.
  /// 2. Both locks, as of the CLI; what the file has now. Somebody else has renewed: done.
  /// 3. The new tokens, or a blanked file where the server refused; unchanged where nobody answered.
  void renew(bool token_was_refused) const {
    // 1.
    const json before = read();
    if (!is_due(before, token_was_refused)) return;
    // 2.
    const Lock inner(directory_ + "/.oauth_refresh.lock");
    const Lock outer(directory_ + ".lock");
    if (!inner.held() || !outer.held()) return;
    json whole = read();
    if (whole.is_null() || access_token(whole) != access_token(before)) return;
    // 3.
    json& login = whole["claudeAiOauth"];
    const Answer answer =
        post("/v1/oauth/token", {{"grant_type", "refresh_token"}, {"refresh_token", login["refreshToken"]}});
    if (answer.status == 200) {
      login["accessToken"] = answer.body["access_token"];
      login["refreshToken"] = answer.body["refresh_token"];
      login["expiresAt"] = now_ms() + answer.body["expires_in"].get<std::int64_t>() * 1000;
      login["accountUuid"] = answer.body["account"]["uuid"];
      login["organizationUuid"] = answer.body["organization"]["uuid"];
    } else if (answer.status == 400) {
      login["accessToken"] = login["refreshToken"] = "";
      login["expiresAt"] = 0;
    } else {
      return;
    }
    write(whole);
  }

  static std::string access_token(const json& whole) {
    return whole.is_null() ? "" : whole["claudeAiOauth"].value("accessToken", "");
  }

 private:
  /// A directory that is there while the lock is held.
  class Lock {
   public:
    explicit Lock(std::string path) : path_(std::move(path)) {
      const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
      while (!(held_ = ::mkdir(path_.c_str(), 0755) == 0)) {
        if (errno != EEXIST || std::chrono::steady_clock::now() >= deadline) return;
        if (is_stale()) {
          ::rmdir(path_.c_str());
        } else {
          std::this_thread::sleep_for(50ms);
        }
      }
    }
    ~Lock() {
      if (held_) ::rmdir(path_.c_str());
    }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    [[nodiscard]] bool held() const { return held_; }

   private:
    [[nodiscard]] bool is_stale() const {
      struct stat status {};
      return ::stat(path_.c_str(), &status) == 0 &&
             now_ms() / 1000 - status.st_mtime > std::chrono::seconds(kLockIsStaleAfter).count();
    }

    std::string path_;
    bool held_ = false;
  };

  static bool is_due(const json& whole, bool token_was_refused) {
    if (whole.is_null()) return false;
    const json& login = whole["claudeAiOauth"];
    const auto token = login.find("refreshToken");
    if (token == login.end() || !token->is_string() || token->get<std::string>().empty()) return false;
    const auto early = static_cast<std::int64_t>(std::stod(variable("SMALL_CLIENT_EARLY", "300")) * 1000);
    return token_was_refused || login.value("expiresAt", std::int64_t{0}) - now_ms() <= early;
  }

  std::string directory_;
  std::string path_;
};

/// One request; "" if the model answered, else why not.
std::string ask(const LoginFile& file, const std::string& words) {
  const json question = {{"model", "small"}, {"messages", {{{"role", "user"}, {"content", words}}}}};
  file.renew(false);
  std::string token = LoginFile::access_token(file.read());
  if (token.empty()) return "Not logged in";
  Answer answer = post("/v1/messages", question, token);
  if (answer.status == 401) {
    file.renew(true);
    const std::string renewed = LoginFile::access_token(file.read());
    if (!renewed.empty() && renewed != token) answer = post("/v1/messages", question, renewed);
  }
  return answer.status == 200 ? "" : "API error " + std::to_string(answer.status);
}

int work(const LoginFile& file, std::chrono::duration<double> pause) {
  // Not all at the same moment.
  std::this_thread::sleep_for(pause * (::getpid() % 100 / 100.0));
  for (;;) {
    const std::string trouble = ask(file, "work");
    std::printf("%s\n", trouble.empty() ? "ok" : ("failed: " + trouble).c_str());
    std::fflush(stdout);
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const LoginFile file(variable("CLAUDE_CONFIG_DIR", "."));
  if (words.size() == 2 && words[0] == "auth" && words[1] == "status") {
    file.renew(false);
    return 0;
  }
  if (words.size() == 2 && words[0] == "work")
    return work(file, std::chrono::duration<double>(std::stod(words[1])));
  if (words.size() >= 2 && words[0] == "--print") {
    if (!variable("ANTHROPIC_BASE_URL", "").empty()) {
      file.renew(false);
      std::puts("API Error: Unable to connect to API");
      return 1;
    }
    const std::string trouble = ask(file, words.back());
    std::puts(trouble.empty() ? "CANNED-ANSWER" : trouble.c_str());
    return trouble.empty() ? 0 : 1;
  }
  std::fputs("usage: small_client --print WORDS | auth status | work SECONDS\n", stderr);
  return 64;
}
