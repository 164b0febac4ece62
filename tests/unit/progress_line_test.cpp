#include "ui/progress_line.h"

#include <catch2/catch.hpp>

using namespace claude_init;
using namespace claude_init::ui;

TEST_CASE("progress tells files, bytes, rate and what is left") {
  const std::uint64_t mib = 1 << 20;
  CHECK(describe({1000, 10'000, 20 * mib, 200 * mib}, "capturing", Milliseconds{2000}) ==
        "capturing: 1000 of 10000 files, 20.0 MiB of 200.0 MiB, 10.0 MiB/s, 18 s left");
  CHECK(describe({0, 10, 0, 0}, "restoring", Milliseconds{2000}) == "restoring: 0 of 10 files, 0 B of 0 B");
  CHECK(describe({10, 10, mib, mib}, "saving", Milliseconds{0}).find("left") == std::string::npos);
}
