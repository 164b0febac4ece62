#include "sync/merge.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "state_helpers.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using namespace claude_init::lock;
using test::TempDir;

namespace {

constexpr const char* kSession = "projects/-w/1.jsonl";
constexpr const char* kTodo = "todos/1.json";

Tree tree_of(const TempDir& dir) {
  return {dir.fd(), dir.path(), fs::current_identity()};
}

/// A store with one session of two lines, and a run that was given it.
struct Run {
  explicit Run(const TempDir& from) : store(from) {
    std::filesystem::copy(from.path(), copy.path(), std::filesystem::copy_options::recursive);
    std::filesystem::remove_all(copy.path(".claude-init"));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(copy.path())) {
      const std::string name = std::filesystem::relative(entry.path(), copy.path());
      if (entry.is_regular_file())
        copy.mtime(name, from.stat(name).st_mtim.tv_sec, from.stat(name).st_mtim.tv_nsec);
    }
    given = *SessionBaseline::record(tree_of(copy), {});
  }
  MergeReport merge(const MergeOptions& options = {}) const {
    const Store opened = test::open_store(store.path());
    const Lock lock = test::lock_store(opened);
    auto report = merge_sessions(tree_of(copy), given, opened, lock, options);
    if (!report) FAIL(report.error().message());
    return std::move(*report);
  }
  const TempDir& store;
  TempDir copy;
  SessionBaseline given;
};

void fill(const TempDir& store) {
  store.dir("projects");
  store.dir("projects/-w");
  store.dir("todos");
  store.file(kSession, "1\n2\n");
  store.file(kTodo, "old");
  store.file("settings.json", "{}");
  store.mtime(kSession, 1'700'000'000, 5);
  store.mtime(kTodo, 1'700'000'000, 5);
}

std::vector<std::string> conflicts(const TempDir& dir) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(dir.path("todos"))) {
    if (entry.path().string().find(".conflict-") != std::string::npos)
      names.push_back(entry.path().filename());
  }
  return names;
}

}  // namespace

TEST_CASE("what a run adds and appends is in the store, and nothing else is") {
  const TempDir store;
  fill(store);
  const Run run(store);
  run.copy.file(kSession, "1\n2\n3\n");
  run.copy.dir("projects/-new");
  run.copy.file("projects/-new/2.jsonl", "a\n");
  run.copy.mtime("projects/-new/2.jsonl", 1'750'000'000, 7);
  run.copy.file(kTodo, "new");
  run.copy.file("settings.json", "{\"changed\":1}");
  run.copy.file(".credentials.json", "x");
  const MergeReport report = run.merge();
  CHECK(report.added == 1);
  CHECK(report.changed == 2);
  CHECK(report.skipped.empty());
  CHECK(store.read(kSession) == "1\n2\n3\n");
  CHECK(store.read("projects/-new/2.jsonl") == "a\n");
  CHECK(store.stat("projects/-new/2.jsonl").st_mtim.tv_sec == 1'750'000'000);
  CHECK(store.mode("projects/-new/2.jsonl") == 0600);
  CHECK(store.read(kTodo) == "new");
  CHECK(conflicts(store).empty());
  CHECK(store.read("settings.json") == "{}");
  CHECK_FALSE(store.exists(".credentials.json"));
}

TEST_CASE("of two runs that went on with one session every line is kept once, in whatever order they end") {
  const TempDir store;
  fill(store);
  const Run first(store);
  const Run second(store);
  first.copy.file(kSession, "1\n2\n3a\n4a\n");
  second.copy.file(kSession, "1\n2\n3b\n");
  CHECK(first.merge().changed == 1);
  CHECK(second.merge().changed == 1);
  CHECK(store.read(kSession) == "1\n2\n3a\n4a\n3b\n");
  // The first goes on, as a run that is saved from more than once does.
  first.copy.file(kSession, "1\n2\n3a\n4a\n5a\n");
  CHECK(first.merge().changed == 1);
  CHECK(store.read(kSession) == "1\n2\n3a\n4a\n3b\n5a\n");
  CHECK(second.merge().changed == 0);
  CHECK(store.read(kSession) == "1\n2\n3a\n4a\n3b\n5a\n");
}

TEST_CASE("two runs that wrote as much in the same tick of the clock are told apart") {
  const TempDir store;
  fill(store);
  const Run first(store);
  const Run second(store);
  for (const Run* run : {&first, &second}) {
    run->copy.file(kSession, run == &first ? "1\n2\na\n" : "1\n2\nb\n");
    run->copy.mtime(kSession, 1'750'000'000, 4'000'000);
  }
  (void)first.merge();
  (void)second.merge();
  CHECK(store.read(kSession) == "1\n2\na\nb\n");
}

TEST_CASE("a line that was cut off does not run into the next one") {
  const TempDir store;
  fill(store);
  const Run run(store);
  store.file(kSession, "1\n2\n3a\ncut o");
  run.copy.file(kSession, "1\n2\n3b\n");
  (void)run.merge();
  CHECK(store.read(kSession) == "1\n2\n3a\ncut o\n3b\n");
}

TEST_CASE("nothing is deleted, nor shortened") {
  const TempDir store;
  fill(store);
  const Run run(store);
  run.copy.file(kSession, "1\n");
  std::filesystem::remove_all(run.copy.path("todos"));
  const MergeReport report = run.merge();
  CHECK(report.changed + report.added == 0);
  CHECK(store.read(kSession) == "1\n2\n");
  CHECK(store.read(kTodo) == "old");
}

TEST_CASE("what the run left alone does not come back, whatever became of the store's") {
  const TempDir store;
  fill(store);
  const Run run(store);
  std::filesystem::remove_all(store.path("projects/-w"));
  store.file(kTodo, "of another run");
  const MergeReport report = run.merge();
  CHECK(report.changed + report.added == 0);
  CHECK_FALSE(store.exists("projects/-w"));
  CHECK(store.read(kTodo) == "of another run");
  CHECK(conflicts(store).empty());
}

TEST_CASE("of a file that two runs have changed both versions are kept, the later one by its name") {
  const TempDir store;
  fill(store);
  const Run first(store);
  const Run second(store);
  first.copy.file(kTodo, "first");
  second.copy.file(kTodo, "second");
  first.copy.mtime(kTodo, 1'750'000'000);
  second.copy.mtime(kTodo, 1'750'000'001);
  SECTION("the later one ends last") {
    CHECK(first.merge().kept_both == 0);
    CHECK(second.merge().kept_both == 1);
  }
  SECTION("the later one ends first") {
    CHECK(second.merge().kept_both == 0);
    CHECK(first.merge().kept_both == 1);
  }
  CHECK(store.read(kTodo) == "second");
  REQUIRE(conflicts(store).size() == 1);
  CHECK(store.read("todos/" + conflicts(store).front()) == "first");
  // Once more: nothing new.
  CHECK(first.merge().kept_both == 0);
  CHECK(second.merge().kept_both == 0);
  CHECK(conflicts(store).size() == 1);
  CHECK(store.read(kTodo) == "second");
}

TEST_CASE("a hostile copy: links and special files are named, and nothing is read through them") {
  const TempDir store;
  const TempDir outside;
  fill(store);
  outside.file("secret", "secret");
  const Run run(store);
  run.copy.link("projects/out.jsonl", outside.path("secret"));
  run.copy.link("projects/in.jsonl", "-w/1.jsonl");
  run.copy.link("projects/..data", "-w");
  run.copy.link("projects/through.jsonl", "..data/1.jsonl");
  run.copy.fifo("todos/fifo");
  std::filesystem::remove_all(run.copy.path("projects/-w"));
  run.copy.link("projects/-w", outside.path());
  const MergeReport report = run.merge();
  CHECK(report.added + report.changed == 0);
  CHECK(report.skipped.size() == 6);
  CHECK(store.read(kSession) == "1\n2\n");
  CHECK_FALSE(store.exists("projects/in.jsonl"));
  CHECK_FALSE(store.exists("projects/through.jsonl"));
}

TEST_CASE("a link in the store's place of a session is not written through") {
  const TempDir store;
  const TempDir outside;
  fill(store);
  outside.file("victim", "1\n2\n");
  const Run run(store);
  std::filesystem::remove(store.path(kSession));
  store.link(kSession, outside.path("victim"));
  run.copy.file(kSession, "1\n2\n3\n");
  CHECK(run.merge().skipped.size() == 1);
  CHECK(outside.read("victim") == "1\n2\n");
}

TEST_CASE("limits and the deadline hold") {
  const TempDir store;
  fill(store);
  const Run run(store);
  run.copy.file(kSession, "1\n2\n3\n");
  MergeOptions options;
  options.limits.max_files = 2;
  const Store opened = test::open_store(store.path());
  {
    const Lock lock = test::lock_store(opened);
    const auto report = merge_sessions(tree_of(run.copy), run.given, opened, lock, options);
    REQUIRE_FALSE(report.ok());
    CHECK(report.error().kind == ErrorKind::limit);
  }
  options = {};
  options.deadline = std::chrono::steady_clock::now();
  CHECK(run.merge(options).left_out == std::vector<std::string>{kSession});
  CHECK(store.read(kSession) == "1\n2\n");
  CHECK(run.merge().changed == 1);
}

TEST_CASE("more files than are synced one by one arrive too") {
  const TempDir store;
  fill(store);
  const Run run(store);
  for (int i = 0; i < 100; ++i) run.copy.file("todos/n" + std::to_string(i), std::to_string(i));
  CHECK(run.merge().added == 100);
  CHECK(store.read("todos/n99") == "99");
}

TEST_CASE("what is committed in several parts arrives whole, in directories at any depth") {
  const TempDir store;
  fill(store);
  const Run run(store);
  run.copy.dir("projects/-new");
  run.copy.dir("projects/-new/a");
  run.copy.dir("projects/-new/a/b");
  run.copy.dir("projects/-new/empty");
  for (int i = 0; i < 1500; ++i) {
    run.copy.file("projects/-new/a/b/" + std::to_string(i) + ".jsonl", std::to_string(i));
    run.copy.file("projects/-w/n" + std::to_string(i) + ".jsonl", std::to_string(i));
  }
  run.copy.file("projects/-new/a/last.jsonl", "last");
  CHECK(run.merge().added == 3001);
  CHECK(store.read("projects/-new/a/b/1499.jsonl") == "1499");
  CHECK(store.read("projects/-w/n1499.jsonl") == "1499");
  CHECK(store.read("projects/-new/a/last.jsonl") == "last");
  CHECK_FALSE(store.exists("projects/-new/empty"));
}

TEST_CASE("what was committed when the deadline comes stays, and the rest is saved the next time") {
  const TempDir store;
  fill(store);
  const Run run(store);
  for (int i = 0; i < 2500; ++i) run.copy.file("todos/n" + std::to_string(i), std::to_string(i));
  MergeOptions options;
  options.deadline = Deadline([&] { return store.exists("todos/n1"); });
  const MergeReport report = run.merge(options);
  CHECK(report.added > 0);
  CHECK(report.added < 2500);
  CHECK(report.added + report.left_out.size() == 2500);
  CHECK(run.merge().added == 2500 - report.added);
}

TEST_CASE("sessions have a quota, for files without content and for versions that are kept too") {
  const TempDir store;
  fill(store);
  const Run run(store);
  const Store opened = test::open_store(store.path());
  const Lock lock = test::lock_store(opened);
  MergeOptions options;
  const auto merged = [&](std::uint64_t quota) {
    options.max_bytes = quota;
    return merge_sessions(tree_of(run.copy), run.given, opened, lock, options);
  };
  // Two files and three directories are there: 20 KiB and some bytes.
  run.copy.file("todos/empty", "");
  const auto refused = merged(24'000);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::limit);
  CHECK(refused.error().remedy.find("--max-sessions") != std::string::npos);
  CHECK_FALSE(store.exists("todos/empty"));
  CHECK(merged(25'000)->added == 1);
  store.file(kTodo, "of another run");
  run.copy.file(kTodo, "of this one");
  CHECK_FALSE(merged(27'000).ok());
  CHECK(conflicts(store).empty());
  CHECK(merged(30'000)->kept_both == 1);
}
