#include "log/log.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/unique_fd.h"

using namespace claude_init;

namespace {

/// What standard error gets meanwhile, of at most one page.
template <class Act>
std::string written_by(Act act) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  const UniqueFd before(::dup(STDERR_FILENO));
  ::dup2(in.get(), STDERR_FILENO);
  act();
  ::dup2(before.get(), STDERR_FILENO);
  std::string line(4096, '\0');
  const ssize_t n = ::read(out.get(), line.data(), line.size());
  line.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return line;
}

std::string logged(std::string_view message, std::initializer_list<log::Field> fields) {
  return written_by([&] { log::warn(message, fields); });
}

}  // namespace

TEST_CASE("a failure has its name behind the level, and each line of its remedy is one to type") {
  const Error error = make_error(ErrorKind::busy, "the store is busy", "wait\nor end PID 7");
  const auto failed = [&](std::string_view name) {
    return written_by([&] { log::failure(log::Level::error, error, name); });
  };
  CHECK(failed("store-busy") ==
        "claude-init: error [store-busy]: the store is busy\n  → wait\n  → or end PID 7\n");
  CHECK(failed("") == "claude-init: error: the store is busy\n  → wait\n  → or end PID 7\n");
  log::configure(log::Level::warn, log::Format::json);
  const std::string named = failed("store-busy");
  const std::string nameless = failed("");
  log::configure(log::Level::warn, log::Format::text);
  CHECK(named.find(R"(,"message":"the store is busy","error":"store-busy","remedy":)") != std::string::npos);
  CHECK(nameless.find("\"error\":\"") == std::string::npos);
}

TEST_CASE("a value in a log line is bare where it is one word, else quoted so that its end can be told") {
  CHECK(logged("x", {{"store", "dev"}}) == "claude-init: warning: x store=dev\n");
  CHECK(logged("x", {{"reason", ""}, {"n", 3}}) == "claude-init: warning: x reason=\"\" n=3\n");
  CHECK(logged("x", {{"do", R"(docker run -v "${X}":/y)"}}) ==
        "claude-init: warning: x\n  → docker run -v \"${X}\":/y\n");
  CHECK(logged("x", {{"why", R"(a \ b)"}, {"next", "one"}}) ==
        "claude-init: warning: x why=\"a \\\\ b\" next=one\n");
  CHECK(logged("x", {{"remedy", "a \\ b"}, {"next", "one"}}) ==
        "claude-init: warning: x next=one\n  → a \\ b\n");
  CHECK(logged("x", {{"remedy", ""}}) == "claude-init: warning: x\n");
}
