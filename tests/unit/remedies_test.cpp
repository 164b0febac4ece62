#include "ui/remedies.h"

#include <catch2/catch.hpp>

using namespace claude_init::fs;
using namespace claude_init::ui;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

TEST_CASE("who may not act as somebody is told all that it takes", "[advice]") {
  CHECK(how_to_run_as({1000, 1001}) == "run as uid 1000: docker run --user 1000:1001");
  CHECK_THAT(how_to_become({1000, 1001}), Contains("--cap-add SETUID --cap-add SETGID --cap-add KILL") &&
                                              EndsWith(how_to_run_as({1000, 1001})));
}

TEST_CASE("what is to be typed is what started the container", "[advice]") {
  be_started_by(Engine::podman);
  CHECK(how_to_run_as({1000, 1001}) == "run as uid 1000: podman run --user 1000:1001");
  be_started_by(Engine::compose);
  CHECK_THAT(how_to_run_as({1000, 1001}), Contains("CLAUDE_HUB_USER=1000:1001 in .env"));
  be_started_by(Engine::kubernetes);
  CHECK_THAT(how_to_run_as({1000, 1001}), Contains("runAsUser: 1000, runAsGroup: 1001"));
  be_started_by(Engine::docker);
  CHECK(engine_command() == std::string("docker"));
}

TEST_CASE("what is to be typed on the host names its directory there, and is a command on one", "[advice]") {
  CHECK(how_to_give("/a b", {1000, 1001}, false) ==
        "sudo chown -R 1000:1001 '/a b' && sudo chmod -R u+rwX,go= '/a b'");
  CHECK(how_to_give("/claude-auth", {1000, 1001}, true) ==
        "on the host: sudo chown -R 1000:1001 HOST_DIR && sudo chmod -R u+rwX,go= HOST_DIR");
  CHECK(how_to_make("/a b", {1000, 1001}) == "sudo install -d -o 1000 -g 1001 -m 700 '/a b'");
  CHECK_THAT(how_to_let_pass("/a b"), EndsWith("sudo chmod a+x '/a b'"));
  CHECK(how_to_open_modes("/a", false) == "chmod -R u+rwX /a");
  CHECK(how_to_open_modes("/a", true) == "on the host: sudo chmod -R u+rwX HOST_DIR");
}
