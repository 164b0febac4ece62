#include "sync/links.h"

#include <catch2/catch.hpp>

using namespace claude_init::sync;

TEST_CASE("a link's target is kept only if nothing on its way can lead out") {
  CHECK(kept_target("a", 0, "/r") == "a");
  CHECK(kept_target("./a//b", 0, "/r") == "./a//b");
  CHECK(kept_target("../a", 1, "/r") == "../a");
  CHECK(kept_target("..", 1, "/r") == "..");
  CHECK(kept_target("../../a", 2, "/r") == "../../a");
  CHECK(kept_target("/r/a/b", 0, "/r") == "a/b");
  CHECK(kept_target("/r/a", 2, "/r") == "../../a");
  for (const char* target : {"..", "../a", "./../a", "/etc/passwd", "/r", "/r2/a", "/r/../etc", "", "/"}) {
    INFO(target);
    CHECK(kept_target(target, 0, "/r").empty());
  }
  CHECK(kept_target("../../a", 1, "/r").empty());
  // "b" may be a link to somewhere higher than it looks.
  CHECK(kept_target("b/../../x", 2, "/r").empty());
  CHECK(kept_target("/r/b/../x", 1, "/r").empty());
}
