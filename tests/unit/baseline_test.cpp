#include "sync/baseline.h"

#include <catch2/catch.hpp>
#include <string>

using namespace claude_init::sync;

namespace {

struct stat file(ino_t inode, off_t size, time_t seconds = 1, long nanoseconds = 0) {
  struct stat st {};
  st.st_mode = S_IFREG | 0600;
  st.st_ino = inode;
  st.st_size = size;
  st.st_mtim = {seconds, nanoseconds};
  return st;
}

struct stat directory(ino_t inode, off_t size) {
  struct stat st = file(inode, size);
  st.st_mode = S_IFDIR | 0700;
  return st;
}

}  // namespace

TEST_CASE("a baseline knows what was noted and tells a copy that changed from one that did not") {
  Baseline baseline;
  CHECK_FALSE(baseline.has("a"));
  baseline.note("a", file(7, 10, 5, 6));
  baseline.note("d", directory(8, 4096));
  CHECK(baseline.has("a"));
  CHECK(baseline.is_same_copy("a", file(7, 10, 5, 6)));
  CHECK_FALSE(baseline.is_same_copy("a", file(9, 10, 5, 6)));
  CHECK_FALSE(baseline.is_same_copy("a", file(7, 11, 5, 6)));
  CHECK_FALSE(baseline.is_same_copy("a", file(7, 10, 4, 6)));
  CHECK_FALSE(baseline.is_same_copy("a", file(7, 10, 5, 7)));
  CHECK_FALSE(baseline.is_same_copy("b", file(7, 10, 5, 6)));
  CHECK(baseline.is_same_content("a", file(9, 10, 5, 6)));
  CHECK_FALSE(baseline.is_same_content("a", file(7, 10, 5, 7)));
  CHECK(baseline.is_same_copy("d", directory(8, 8192)));  // with other entries
  CHECK_FALSE(baseline.is_same_copy("d", file(8, 4096)));
}

TEST_CASE("of several notes of a path the last one counts, also one that is merged in later") {
  Baseline baseline;
  for (int i = 0; i < 1000; ++i) baseline.note(std::to_string(i), file(1, i));
  for (int i = 0; i < 1000; ++i) baseline.note(std::to_string(i), file(2, i));
  CHECK(baseline.size() == 1000);
  Baseline later = baseline.empty_copy();
  later.note("5", file(3, 5));
  later.note("new", file(3, 6));
  CHECK(later.size() == 2);
  baseline.merge(std::move(later));
  CHECK(baseline.size() == 1001);
  CHECK(baseline.is_same_copy("4", file(2, 4)));
  CHECK(baseline.is_same_copy("5", file(3, 5)));
  CHECK(baseline.is_same_copy("new", file(3, 6)));
}
