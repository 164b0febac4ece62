#include "sync/session_baseline.h"

#include <catch2/catch.hpp>

#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using test::TempDir;

namespace {

SessionBaseline look(const TempDir& dir) {
  auto given = SessionBaseline::record({dir.fd(), dir.path(), fs::current_identity()}, {});
  REQUIRE(given.ok());
  return std::move(*given);
}

}  // namespace

TEST_CASE("what was given is known again until it is written to, also by whoever reads it later") {
  const TempDir dir;
  dir.dir("projects");
  dir.dir("projects/a b");
  dir.file("projects/a b/new\nline.jsonl", "x");
  dir.file("settings.json", "{}");
  const SessionBaseline given = look(dir);
  const SessionBaseline read = SessionBaseline::parse(given.text());
  for (const SessionBaseline* one : {&given, &read}) {
    CHECK(one->has("projects/a b/new\nline.jsonl", dir.stat("projects/a b/new\nline.jsonl")));
    CHECK_FALSE(one->has("settings.json", dir.stat("settings.json")));
  }
  dir.mtime("projects/a b/new\nline.jsonl", 1'700'000'000, 1);
  CHECK_FALSE(read.has("projects/a b/new\nline.jsonl", dir.stat("projects/a b/new\nline.jsonl")));
}

TEST_CASE("a note that cannot be understood knows nothing") {
  const TempDir dir;
  dir.file("x", "x");
  using namespace std::string_literals;
  for (const std::string& text : {""s, "x"s, "1 2 x"s, "1 2 3 x"s, "\0\0"s, "9999999999999999999999 1 1 x\0"s,
                                  "1 2\0"s, "- 1 1 x\0"s}) {
    INFO(text);
    CHECK_FALSE(SessionBaseline::parse(text).has("x", dir.stat("x")));
  }
}

TEST_CASE("sessions deeper or more than allowed are refused") {
  const TempDir dir;
  dir.dir("projects");
  dir.dir("projects/a");
  dir.dir("projects/a/b");
  Limits limits;
  limits.max_depth = 2;
  CHECK(SessionBaseline::record({dir.fd(), dir.path(), fs::current_identity()}, limits).error().kind ==
        ErrorKind::limit);
}
