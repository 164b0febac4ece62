#include "store/project.h"

#include <catch2/catch.hpp>

#include "store/layout.h"
#include "store/names.h"

namespace claude_init::store {

// What 2.1.332 calls them.
TEST_CASE("a working directory has the name that the CLI gives it", "[project]") {
  CHECK(project_of("/workspace") == "-workspace");
  CHECK(project_of("/a.b/c_d e") == "-a-b-c-d-e");
  CHECK(project_of("/\xc3\xa9") == "--");           // one unit
  CHECK(project_of("/\xf0\x9f\x98\x80") == "---");  // two
  CHECK(project_of("/" + std::string(250, 'a')) == "-" + std::string(199, 'a') + "-*");
}

TEST_CASE("its sessions and those of what lies beneath it are chosen, and nothing else", "[project]") {
  Filter sessions;
  sessions.only = sessions_of("/workspace");
  CHECK(sessions.enters("projects"));
  CHECK(sessions.captures("projects/-workspace/1.jsonl"));
  CHECK(sessions.captures("projects/-workspace/memory/MEMORY.md"));
  CHECK(sessions.captures("projects/-workspace-sub/1.jsonl"));
  CHECK_FALSE(sessions.captures("projects/-workspaces/1.jsonl"));
  CHECK_FALSE(sessions.enters("projects/-other"));
  CHECK_FALSE(sessions.enters("todos"));

  Filter transcripts;
  transcripts.only = transcripts_of("/workspace");
  CHECK(transcripts.captures("projects/-workspace/1.jsonl"));
  CHECK(transcripts.captures("projects/-workspace/1/subagents/agent-1.jsonl"));
  CHECK_FALSE(transcripts.captures("projects/-workspace/memory/MEMORY.md"));
  CHECK_FALSE(transcripts.captures("projects/-workspace/1/tool-results/1.txt"));
  transcripts.exclude = {"projects/*/1.jsonl"};
  CHECK_FALSE(transcripts.captures("projects/-workspace/1.jsonl"));

  Filter root;
  root.only = sessions_of("/");
  CHECK(root.captures("projects/-/1.jsonl"));
  CHECK(root.captures("projects/-workspace/1.jsonl"));
}

TEST_CASE("without history there is what shapes the CLI, and what is not known", "[names]") {
  Filter filter;
  filter.history = false;
  for (const char* path : {"CLAUDE.md", "agents/a.md", "plugins/p/x", "not-known/x", "settings.json"}) {
    INFO(path);
    CHECK(filter.captures(path));
  }
  for (const char* path :
       {"projects/x/1.jsonl", "todos/1", "file-history/1/2", "statsig/x", "history.jsonl", "cache/x"}) {
    INFO(path);
    CHECK_FALSE(filter.captures(path));
  }
  CHECK(Filter{}.captures("history.jsonl"));
  CHECK_FALSE(Filter{}.captures("cache/x"));
  filter.include = {memory_of("/workspace")};
  CHECK(filter.enters("projects"));
  CHECK(filter.captures("projects/-workspace/memory/MEMORY.md"));
  CHECK_FALSE(filter.captures("projects/-workspace/1.jsonl"));
  CHECK_FALSE(DirectoryFilter(filter, "projects/-workspace").captures("1.jsonl"));
}

TEST_CASE("each known name stands in the table once", "[names]") {
  for (const KnownName& known : known_names()) {
    INFO(known.name);
    int times = 0;
    for (const KnownName& other : known_names()) times += other.name == known.name ? 1 : 0;
    CHECK(times == 1);
    CHECK(role_of(known.name) == known.role);
  }
  CHECK(role_of("no-such-name") == Role::behaviour);
}

}  // namespace claude_init::store
