#include "store/copies.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>

#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::store;
using test::TempDir;

namespace {

std::optional<std::string> note_of(const Store& store, const std::string& name, int copy) {
  const auto note = noted_copy(store, name, copy);
  REQUIRE(note.ok());
  return *note;
}

}  // namespace

TEST_CASE("a working copy that was noted is known again, and no other one", "[copies]") {
  const TempDir place;
  const Store store = test::open_store(place.path());
  const TempDir copy;
  const TempDir other;
  CHECK_FALSE(note_of(store, "copy", copy.fd()));
  REQUIRE(note_copy(store, "copy", copy.fd(), std::string("a\0b\n", 4)).ok());
  CHECK(note_of(store, "copy", copy.fd()) == std::string("a\0b\n", 4));
  CHECK_FALSE(note_of(store, "copy", other.fd()));
  CHECK_FALSE(note_of(store, "another", copy.fd()));
  REQUIRE(note_copy(store, "copy", other.fd(), "").ok());
  CHECK_FALSE(note_of(store, "copy", copy.fd()));
  forget_copy(store, "copy");
  CHECK_FALSE(note_of(store, "copy", other.fd()));
}

TEST_CASE("notes of copies that are never found go after a while", "[copies]") {
  const TempDir place;
  const Store store = test::open_store(place.path());
  REQUIRE(note_copy(store, "old", place.fd(), "").ok());
  place.mtime(".claude-init/copies/old", 1'000'000'000, 0);
  REQUIRE(note_copy(store, "new", place.fd(), "").ok());
  CHECK_FALSE(note_of(store, "old", place.fd()));
  CHECK(note_of(store, "new", place.fd()));
}

TEST_CASE("a note that cannot be read now is not taken for none", "[copies]") {
  const TempDir place;
  const Store store = test::open_store(place.path());
  const TempDir copy;
  REQUIRE(note_copy(store, "copy", copy.fd(), "").ok());
  const auto note = test::without_descriptors([&] { return noted_copy(store, "copy", copy.fd()); });
  REQUIRE_FALSE(note.ok());
  CHECK(note.error().number == EMFILE);
}
