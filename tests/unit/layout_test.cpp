#include "store/layout.h"

#include <catch2/catch.hpp>

using namespace claude_init::store;

TEST_CASE("the state of a home and of a configuration directory lie where the CLI keeps them") {
  CHECK(state_in_home("/home/node").config_dir == "/home/node/.claude");
  CHECK(state_in_home("/home/node").claude_json == "/home/node/.claude.json");
  CHECK(state_in_config_dir("/w/claude").config_dir == "/w/claude");
  CHECK(state_in_config_dir("/w/claude").claude_json == "/w/claude/.claude.json");
}

TEST_CASE("what belongs to a running process is not captured, what only looks like it is") {
  const Filter filter;
  for (const char* path :
       {".claude-init", ".claude-init/journal", "sessions", "sessions/1.json", "telemetry/x", "backups/y",
        "cache/z", ".cache", ".oauth_refresh.lock", ".oauth_refresh.lock/x", ".oauth_refresh.lock.owner",
        "history.jsonl.lock", ".storage-write.lock", "any.lock", ".credentials.json.tmp.a1b2c3d4",
        "projects/p/x.tmp.1", "plugins/known.json.lock", "tasks/t/.lock", "x/.y.lock/z"}) {
    INFO(path);
    CHECK_FALSE(filter.captures(path));
  }
  for (const char* path :
       {".credentials.json", ".claude.json", "settings.json", "projects/p/s.jsonl", "projects/sessions/x",
        "projects/backups", "plugins/p/yarn.lock", "skills/Cargo.lock", "clock", "todos/1.json", "statsig/x",
        "package.json", "projects/-tmp-x/s.jsonl", "template", "cached", ".claude-initial"}) {
    INFO(path);
    CHECK(filter.captures(path));
  }
}

TEST_CASE("include wins over the table, exclude over everything, and our own directory is never captured") {
  const Filter filter{{"sessions", "telemetry/*.json", ".claude-init"},
                      {"projects/secret", "*.log", "sessions/no"}};
  CHECK(filter.captures("sessions/1.json"));
  CHECK_FALSE(filter.captures("sessions/no"));
  CHECK(filter.captures("telemetry/a.json"));
  CHECK_FALSE(filter.captures("telemetry/a.txt"));
  CHECK_FALSE(filter.captures("telemetry/d/a.json"));  // "*" does not cross "/"
  CHECK_FALSE(filter.captures("projects/secret"));
  CHECK_FALSE(filter.captures("projects/secret/deep/file"));
  CHECK(filter.captures("projects/secrets"));
  CHECK_FALSE(filter.captures("x.log"));
  CHECK(filter.captures("projects/x.log"));
  CHECK_FALSE(filter.captures(".claude-init/id"));
}

TEST_CASE("a directory that is not captured is entered where an include leads into it") {
  const Filter filter{{"telemetry/*/keep", "backups"}, {"cache/x"}};
  CHECK(filter.enters("telemetry"));
  CHECK(filter.enters("telemetry/a"));
  CHECK_FALSE(filter.enters("telemetry/a/b"));
  CHECK(filter.enters("telemetry/a/keep"));
  CHECK(filter.enters("backups/deep/down"));
  CHECK(filter.enters("projects"));
  CHECK_FALSE(filter.enters("cache/x"));
  CHECK_FALSE(filter.enters("sessions"));
  CHECK_FALSE(Filter{{".claude-init/x"}, {}}.enters(".claude-init"));
}

TEST_CASE("a directory's filter says what the whole filter says of each entry") {
  const std::vector<Filter> filters{
      {}, {{"cache/keep", "projects/*.lock"}, {}}, {{}, {"projects/secret", "*.md"}}};
  const std::vector<std::string> directories{"",           "projects",     "projects/a", "cache",
                                             "cache/keep", ".claude-init", "a.tmp.b"};
  const std::vector<std::string> names{"a",       "cache",       ".claude-init", "x.lock",
                                       ".x.lock", "x.json.lock", "secret",       "x.md",
                                       "keep",    "x.tmp.",      "sessions",     ".lock.owner"};
  for (const Filter& filter : filters) {
    for (const std::string& directory : directories) {
      if (!directory.empty() && !filter.enters(directory)) continue;
      const DirectoryFilter entries(filter, directory);
      for (const std::string& name : names) {
        INFO(directory << " " << name);
        CHECK(entries.captures(name) == filter.captures(directory.empty() ? name : directory + "/" + name));
      }
    }
  }
}
