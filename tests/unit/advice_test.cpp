#include "fs/advice.h"

#include <catch2/catch.hpp>

using namespace claude_init::fs;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

TEST_CASE("who may not act as somebody is told all that it takes", "[advice]") {
  CHECK(how_to_run_as({1000, 1001}) == "run as uid 1000: docker run --user 1000:1001");
  CHECK_THAT(how_to_become({1000, 1001}), Contains("--cap-add SETUID --cap-add SETGID --cap-add KILL") &&
                                              EndsWith(how_to_run_as({1000, 1001})));
}
