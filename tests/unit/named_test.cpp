#include "store/named.h"

#include <catch2/catch.hpp>

namespace claude_init::store {
namespace {

using From = NamedPath::From;

NamedPath only(std::string_view text) {
  Named named = named_by(text);
  REQUIRE(named.paths.size() == 1);
  return named.paths.front();
}

}  // namespace

TEST_CASE("what settings name in a state is found, however it is written", "[named]") {
  for (const char* start : {"~/", "$HOME/", "${HOME}/", R"(\"$HOME\"/)", R"(\"${HOME}/)"}) {
    const NamedPath path = only(std::string(R"({"command": "sh )") + start + R"(.claude/hooks/a.sh\" --x"})");
    CHECK(path.from == From::home);
    CHECK(path.rest == ".claude/hooks/a.sh");
  }
  CHECK(only(R"("${CLAUDE_CONFIG_DIR}/a.sh;true")").from == From::config_dir);
  CHECK(only(R"("$CLAUDE_CONFIG_DIR/b/a.sh>x")").rest == "b/a.sh");
  CHECK(only(R"("\/home\/a\/.claude\/x.sh")").rest == "home/a/.claude/x.sh");
  CHECK(only("\"FILE=/home/a/.claude/x\"").from == From::root);
  CHECK(only("\"x $(~/.claude/x)\"").rest == ".claude/x");
  CHECK(only(R"("~/.claude/a/*/b")").rest == ".claude/a");
}

TEST_CASE("what is no path into a state is passed over", "[named]") {
  for (const char* text : {"", "'~/bin/x'", "'/usr/bin/x'", "'.claude/x'", "'$CLAUDE_PROJECT_DIR/.claude/x'",
                           "['Read(~/.claude/x)', 'Edit(//home/a/.claude/**)']", "\\"}) {
    INFO(text);
    CHECK(named_by(text).paths.empty());
  }
  CHECK(named_by("'~/.claude/x' '~/.claude/x'").paths.size() == 1);
}

TEST_CASE("plugins count where one is enabled", "[named]") {
  CHECK(named_by(R"({"enabledPlugins": {"a@b": true}})").plugins);
  CHECK_FALSE(named_by(R"({"enabledPlugins": {"a@b": false}, "x": true})").plugins);
  CHECK_FALSE(named_by(R"({"enabledPlugins")").plugins);
}

}  // namespace claude_init::store
