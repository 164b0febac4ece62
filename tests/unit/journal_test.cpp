#include "store/journal.h"

#include <fmt/format.h>

#include <boost/crc.hpp>
#include <catch2/catch.hpp>

using namespace claude_init;
using namespace claude_init::store;

namespace {

Journal example() {
  Journal journal;
  journal.moves.push_back({"5f3a21c0-1", "projects/a b/s.jsonl"});
  journal.moves.push_back({"5f3a21c0-2", "new\nline\xff%25"});
  journal.deletions.push_back({"todos/1.json", {1234, 56, -7, 42}});
  journal.directories.push_back("todos");
  return journal;
}

/// `lines` with a header and an end that are right.
std::string sealed(const std::string& lines, std::size_t entries) {
  const std::string body = "claude-init journal 1\n" + lines;
  boost::crc_32_type crc;
  crc.process_bytes(body.data(), body.size());
  return body + fmt::format("end {} {:08x}\n", entries, crc.checksum());
}

}  // namespace

TEST_CASE("a journal reads back as it was written, whatever bytes the names have") {
  const Journal journal = example();
  const auto parsed = parse_journal(encode(journal));
  REQUIRE(parsed.ok());
  REQUIRE(parsed->moves.size() == 2);
  CHECK(parsed->moves[0].staged == "5f3a21c0-1");
  CHECK(parsed->moves[0].path == "projects/a b/s.jsonl");
  CHECK(parsed->moves[1].path == "new\nline\xff%25");
  REQUIRE(parsed->deletions.size() == 1);
  CHECK(parsed->deletions[0].path == "todos/1.json");
  CHECK(parsed->deletions[0].copy == journal.deletions[0].copy);
  CHECK(parsed->directories == journal.directories);
  CHECK(parse_journal(encode({})).ok());
}

TEST_CASE("a journal is text that can be read") {
  CHECK(
      encode(example()).starts_with("claude-init journal 1\n"
                                    "move 5f3a21c0-1 projects/a%20b/s.jsonl\n"
                                    "move 5f3a21c0-2 new%0aline%ff%2525\n"
                                    "delete 1234 56 -7.000000042 todos/1.json\n"
                                    "rmdir todos\n"
                                    "end 4 "));
}

TEST_CASE("a journal that is cut off anywhere, or of which any bit is wrong, is not believed") {
  const std::string text = encode(example());
  for (std::size_t length = 0; length < text.size(); ++length) {
    INFO(length);
    CHECK_FALSE(parse_journal(text.substr(0, length)).ok());
  }
  for (std::size_t at = 0; at < text.size() - 1; ++at) {
    INFO(at);
    std::string wrong = text;
    wrong[at] = static_cast<char>(wrong[at] ^ 1);
    CHECK_FALSE(parse_journal(wrong).ok());
  }
  CHECK_FALSE(parse_journal(std::string(4096, '\0')).ok());
}

TEST_CASE("a journal that leads out of the store, into our directory or to a login is refused") {
  REQUIRE(parse_journal(sealed("move 1-1 a\n", 1)).ok());
  for (const char* path : {"",
                           "/etc/passwd",
                           "..",
                           "../a",
                           "a/../b",
                           "a/..",
                           ".",
                           "a//b",
                           "a/",
                           ".claude-init",
                           ".claude-init/journal",
                           ".claude-init/locks/store",
                           "%2e%2e/a",
                           "a%00b",
                           "%2fetc",
                           ".credentials.json",
                           ".claude.json",
                           "a%",
                           "a%4",
                           "a%zz"}) {
    INFO(path);
    CHECK_FALSE(parse_journal(sealed(fmt::format("move 1-1 {}\n", path), 1)).ok());
    CHECK_FALSE(parse_journal(sealed(fmt::format("delete 1 1 1.1 {}\n", path), 1)).ok());
    CHECK_FALSE(parse_journal(sealed(fmt::format("rmdir {}\n", path), 1)).ok());
  }
  CHECK_FALSE(parse_journal(sealed("rmdir " + std::string(256, 'n') + "\n", 1)).ok());
  CHECK_FALSE(parse_journal(sealed("rmdir a" + std::string(4096, '/') + "b\n", 1)).ok());
}

TEST_CASE("a journal with a staged name that is a path, an unknown verb or a contradiction is refused") {
  for (const char* line : {"move ../1 a\n", "move . a\n", "move  a\n", "move - a\n", "move x a\n",
                           "move 1-1\n", "link 1-1 a\n", "\n", "delete 1 1 a\n", "delete x 1 1.1 a\n"}) {
    INFO(line);
    CHECK_FALSE(parse_journal(sealed(line, 1)).ok());
  }
  CHECK_FALSE(parse_journal(sealed("move 1-1 a\n", 2)).ok());
  CHECK_FALSE(parse_journal(sealed("move 1-1 a\nmove 1-2 a\n", 2)).ok());
  CHECK_FALSE(parse_journal(sealed("move 1-1 a\nmove 1-1 b\n", 2)).ok());
  CHECK_FALSE(parse_journal(sealed("move 1-1 a\nrmdir a\n", 2)).ok());
}
