#include "cli/known.h"

#include <catch2/catch.hpp>

using namespace claude_init;
using namespace claude_init::cli;

namespace {

using Line = std::vector<std::string>;

std::optional<Flaw::Kind> flaw(const Line& words, const Version& version) {
  const auto found = flaw_of(words, version);
  return found ? std::optional(found->kind) : std::nullopt;
}

}  // namespace

TEST_CASE("a version is what the CLI's first words say") {
  CHECK(parse_version("2.1.332 (Claude Code)\n") == Version{2, 1, 332});
  CHECK(parse_version("1.0.128") == Version{1, 0, 128});
  for (const char* text : {"", "claude", "2", "2.1", "2.1.", "v2.1.3", "2..1", "99999999999.1.1"})
    CHECK_FALSE(parse_version(text));
  CHECK(Version{2, 1, 9} < Version{2, 1, 100});
  CHECK(text_of({2, 1, 332}) == "2.1.332");
}

TEST_CASE("a version is tested, newer than those, or neither") {
  CHECK(described({2, 1, 332}) == "2.1.332 (tested)");
  CHECK(described({2, 1, 331}) == "2.1.331 (not tested)");
  CHECK(described({99, 0, 0}) == "99.0.0 (newer than those tested)");
}

TEST_CASE("variables stand before a command, as in a shell") {
  const Words words = split({"A=b", "_x1=", "claude", "--x", "C=d"});
  CHECK(words.variables == Line{"A=b", "_x1="});
  CHECK(words.argv == Line{"claude", "--x", "C=d"});
  CHECK(split({"A=b", "env", "C=d", "claude", "x"}).variables == Line{"A=b", "C=d"});
  CHECK(split({"env", "C=d", "claude", "x"}).argv == Line{"claude", "x"});
  CHECK(split({"env", "-i", "claude"}).argv == Line{"env", "-i", "claude"});
  CHECK(split({"env", "A=b"}).argv == Line{"env", "A=b"});
  CHECK(split({"=a", "b"}).argv == Line{"=a", "b"});
  CHECK(split({"1a=b"}).argv == Line{"1a=b"});
  CHECK(split({"A=b"}).argv.empty());
}

TEST_CASE("what burns on a version is known, however it is written") {
  const Version old{2, 1, 220};
  CHECK(flaw({"claude", "auth", "status"}, old) == Flaw::Kind::burns);
  CHECK(flaw({"/usr/local/bin/claude", "auth", "status", "--json"}, old) == Flaw::Kind::burns);
  CHECK(flaw({"A=b", "claude", "auth", "status"}, old) == Flaw::Kind::burns);
  CHECK(flaw({"env", "A=b", "claude", "auth", "status"}, old) == Flaw::Kind::burns);
  CHECK(flaw({"claude", "auth", "status"}, {2, 1, 199}) == Flaw::Kind::burns);
  CHECK(flaw({"claude", "auth", "status"}, {2, 1, 197}) == Flaw::Kind::asks_nobody);
  CHECK(flaw({"claude", "mcp", "list"}, {2, 1, 100}) == Flaw::Kind::asks_nobody);
  CHECK(flaw({"claude", "--init-only"}, {1, 0, 128}) == Flaw::Kind::asks_nobody);
  CHECK(flaw({"claude", "--init-only"}, {2, 1, 197}) == Flaw::Kind::burns);
  CHECK(flaw({"claude", "--init-only"}, {2, 1, 332}) == Flaw::Kind::burns);
  CHECK(flaw({"claude", "--print", "/cost"}, {1, 0, 128}) == Flaw::Kind::burns);
  CHECK(flaw({"claude", "agents", "--json"}, {99, 0, 0}) == Flaw::Kind::burns);
}

TEST_CASE("what is good from some version on is told, and what never was") {
  CHECK(flaw_of({"claude", "auth", "status"}, {2, 1, 197})->good == Version{2, 1, 330});
  CHECK_FALSE(flaw_of({"claude", "agents", "--json"}, {2, 1, 332})->good);
}

TEST_CASE("other commands and versions have no flaw") {
  CHECK_FALSE(flaw({"claude", "auth", "status"}, {2, 1, 332}));
  CHECK_FALSE(flaw({"claude", "auth", "statusx"}, {2, 1, 220}));
  CHECK_FALSE(flaw({"my-claude", "auth", "status"}, {2, 1, 220}));
  CHECK_FALSE(flaw({"env", "-i", "claude", "auth", "status"}, {2, 1, 220}));
  for (const char* text :
       {"1.0.128", "2.0.77", "2.1.100", "2.1.197", "2.1.220", "2.1.260", "2.1.332", "3.0.0"})
    CHECK_FALSE(flaw(renewing_command(), *parse_version(text)));
  CHECK(is_claude(renewing_command()));
  CHECK_FALSE(is_claude({"A=b"}));
  CHECK_FALSE(is_claude({"/usr/bin/python3", "claude"}));
}

TEST_CASE("what the older of two versions lacks is the same whichever comes first") {
  const std::string lacks = what_older_lacks({2, 1, 100}, {2, 1, 332});
  CHECK(lacks.starts_with("2.1.100 does not tell a rejected login"));
  CHECK(what_older_lacks({2, 1, 332}, {2, 1, 100}) == lacks);
  CHECK(what_older_lacks({2, 1, 197}, {2, 1, 332}).empty());
  CHECK(what_older_lacks({1, 0, 128}, {2, 1, 100}).empty());
}
