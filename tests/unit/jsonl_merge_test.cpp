#include "sync/jsonl_merge.h"

#include <fcntl.h>

#include <catch2/catch.hpp>

#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::sync;
using test::TempDir;

namespace {

Comparison compared(const std::string& first, const std::string& second) {
  const TempDir dir;
  dir.file("first", first);
  dir.file("second", second);
  const UniqueFd a(::open(dir.path("first").c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd b(::open(dir.path("second").c_str(), O_RDONLY | O_CLOEXEC));
  const auto result = compare_contents(a.get(), b.get());
  REQUIRE(result.ok());
  return *result;
}

}  // namespace

TEST_CASE("two contents are the same, one the beginning of the other, or apart from a line on") {
  CHECK(compared("", "").relation == Relation::same);
  CHECK(compared("a\nb\n", "a\nb\n").relation == Relation::same);
  CHECK(compared("a\nb\n", "a\n").relation == Relation::first_is_longer);
  CHECK(compared("", "a").relation == Relation::second_is_longer);
  const Comparison apart = compared("one\ntwo\nthree\n", "one\ntwo\nthere\n");
  CHECK(apart.relation == Relation::diverged);
  CHECK(apart.common == 8);
  CHECK(compared("x", "y").common == 0);
}

TEST_CASE("contents are compared across the pieces that they are read in") {
  for (const std::size_t size : {std::size_t{65535}, std::size_t{65536}, std::size_t{200'000}}) {
    INFO(size);
    const std::string same(size, 'x');
    CHECK(compared(same, same).relation == Relation::same);
    CHECK(compared(same, same + "y").relation == Relation::second_is_longer);
    CHECK(compared(same + "y", same).relation == Relation::first_is_longer);
    const Comparison apart = compared("l\n" + same + "y", "l\n" + same + "z");
    CHECK(apart.relation == Relation::diverged);
    CHECK(apart.common == 2);
  }
}

TEST_CASE("a line that both have written is one, and the order stays") {
  CHECK(missing_lines("a\nb\n", "b\nc\na\nd\n") == "c\nd\n");
  CHECK(missing_lines("", "a\nb") == "a\nb\n");
  CHECK(missing_lines("a\n", "") == "");
  CHECK(missing_lines("cut o", "\n\ncut off\n") == "cut off\n");
}

TEST_CASE("more lines than can be compared in a moment are not compared") {
  std::string many;
  for (std::size_t i = 0; i <= kMostLines; ++i) many += "\n";
  CHECK_FALSE(missing_lines(many, "a\n").has_value());
  CHECK_FALSE(missing_lines("a\n", many).has_value());
  CHECK(missing_lines(many.substr(1), "a\n") == "a\n");
}
