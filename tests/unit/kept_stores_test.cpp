#include "options/kept_stores.h"

#include <catch2/catch.hpp>

using namespace claude_init;
using namespace claude_init::options;
using Catch::Matchers::Contains;

namespace {

using Words = std::vector<std::string>;

std::string shown(const Words& stores, const Words& published) {
  const auto kept = kept_stores(stores, published);
  if (!kept) return kept.error().message() + "; " + kept.error().remedy;
  std::string out;
  for (const KeptStore& store : *kept) out += store.name + "|" + store.directory + "|" + store.publish + " ";
  return out;
}

}  // namespace

TEST_CASE("a word in braces is a store's name or nothing") {
  for (const char* text :
       {"", "log in", "setup {name}", "{name}{name}", "a${HOME}/{name}", "{a,b} {} { }", "{"}) {
    CHECK(unknown_place(text).empty());
  }
  CHECK(unknown_place("setup {nmae}") == "{nmae}");
  CHECK(unknown_place("{name} {STORE}") == "{STORE}");
}

TEST_CASE("stores to keep: a name, or that of the directory", "[keep]") {
  CHECK(shown({"dev=/a/b", "/stores/staging/", "rel"}, {}) ==
        "dev|/a/b| staging|/stores/staging/| rel|rel| ");
  CHECK(shown({"/home/me/.claude-hub"}, {}) == "claude-hub|/home/me/.claude-hub| ");
  CHECK(shown({"/odd=name/x"}, {}) == "x|/odd=name/x| ");
  CHECK(shown({}, {}) == "|| ");
}

TEST_CASE("stores to keep: published ones belong to a name, or to the only store", "[keep]") {
  CHECK(shown({"dev=/a", "test=/b"}, {"test=/p"}) == "dev|/a| test|/b|/p ");
  CHECK(shown({"/a"}, {"/p"}) == "a|/a|/p ");
  CHECK(shown({}, {"/p"}) == "||/p ");
}

TEST_CASE("stores to keep: one is published with and without its access token", "[keep]") {
  const auto kept = kept_stores({"dev=/a", "test=/b"}, {"test=/p"}, {"test=/q", "dev=/r"});
  REQUIRE(kept.ok());
  CHECK((*kept)[1].publish == "/p");
  CHECK((*kept)[1].placeholder == "/q");
  CHECK((*kept)[0].placeholder == "/r");
  const auto twice = kept_stores({"/a"}, {}, {"/p", "/q"});
  REQUIRE_FALSE(twice.ok());
  CHECK_THAT(twice.error().remedy, Contains("--publish-placeholder"));
}

TEST_CASE("stores to keep: what cannot be told apart is refused with what to write", "[keep]") {
  CHECK_THAT(shown({"/a/x", "/b/x"}, {}), Contains("two stores are called 'x'") && Contains("NAME=DIR"));
  CHECK_THAT(shown({"a=/x", "b=/x"}, {}), Contains("/x is named twice"));
  CHECK_THAT(shown({"=/x"}, {}), Contains("no name before the ="));
  CHECK_THAT(shown({"dev="}, {}), Contains("names no directory"));
  CHECK_THAT(shown({"/"}, {}), Contains("--store NAME=/"));
  CHECK_THAT(shown({"/stores/.."}, {}), Contains("--store NAME=/stores/.."));
  CHECK_THAT(shown({"/a b"}, {}), Contains("--store NAME='/a b'"));
  CHECK_THAT(shown({"dev=/a"}, {"prod=/p"}), Contains("there is no store called 'prod'"));
  CHECK_THAT(shown({"dev=/a", "test=/b"}, {"/p"}), Contains("which store goes to /p") && Contains("dev=DIR"));
  CHECK_THAT(shown({"/a"}, {"/p", "/q"}), Contains("published twice"));
}
