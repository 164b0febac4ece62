#include "log/log.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>

#include "base/unique_fd.h"

using namespace claude_init;

namespace {

/// What one line is on standard error.
std::string logged(std::string_view message, std::initializer_list<log::Field> fields) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const UniqueFd out(ends[0]);
  const UniqueFd in(ends[1]);
  const UniqueFd before(::dup(STDERR_FILENO));
  ::dup2(in.get(), STDERR_FILENO);
  log::warn(message, fields);
  ::dup2(before.get(), STDERR_FILENO);
  std::string line(4096, '\0');
  const ssize_t n = ::read(out.get(), line.data(), line.size());
  line.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return line;
}

}  // namespace

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
