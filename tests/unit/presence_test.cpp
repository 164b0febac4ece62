#include "store/presence.h"

#include <catch2/catch.hpp>
#include <optional>
#include <vector>

#include "state_helpers.h"

using namespace claude_init;
using test::TempDir;

TEST_CASE("who follows a store is counted, as long as it does") {
  const TempDir dir;
  dir.dir("store", 0700);
  const store::Store store = test::open_store(dir.path("store"));
  CHECK(store::announce_presence(store).error().kind == ErrorKind::not_found);
  CHECK(store::count_present(store) == 0);
  REQUIRE(store::make_presence_file(store).ok());
  std::vector<UniqueFd> present;
  for (std::size_t n = 1; n <= 40; ++n) {
    auto one = store::announce_presence(store);
    REQUIRE(one.ok());
    present.push_back(std::move(*one));
    CHECK(store::count_present(store) == n);
  }
  REQUIRE(store::make_presence_file(store).ok());  // is there: nobody is forgotten
  present.erase(present.begin() + 10, present.begin() + 25);
  CHECK(store::count_present(store) == 25);
  present.clear();
  CHECK(store::count_present(store) == 0);
}
