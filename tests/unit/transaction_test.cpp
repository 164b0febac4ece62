#include "sync/transaction.h"

#include <catch2/catch.hpp>

#include "fs/file.h"
#include "sync/stage.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using test::TempDir;

namespace {

Tree tree_of(const TempDir& dir) {
  return {dir.fd(), dir.path(), fs::current_identity()};
}

Result<Staged> stage_all(const TempDir& from, const TempDir& to, Transaction& into,
                         StageOptions options = {}) {
  const Tree source = tree_of(from);
  const Tree other = tree_of(to);
  const auto plan = make_plan(source, &other, {});
  REQUIRE(plan.ok());
  return stage(*plan, source, into, options);
}

}  // namespace

TEST_CASE("what is added is in place after commit and nowhere before, and the stage goes") {
  const TempDir dir;
  dir.file("f", "old");
  auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::each);
  REQUIRE(transaction.ok());
  REQUIRE(transaction->add_file("f", "new").ok());
  CHECK(dir.read("f") == "old");
  REQUIRE(transaction->commit().ok());
  CHECK(dir.read("f") == "new");
  CHECK(dir.mode("f") == 0600);
  CHECK_FALSE(dir.exists(".claude-init/stage"));
}

TEST_CASE("what is not committed is dropped, also what an earlier transaction left behind") {
  const TempDir dir;
  dir.dir(".claude-init");
  dir.dir(".claude-init/stage");
  dir.file(".claude-init/stage/1", "left over");
  {
    auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::none);
    REQUIRE(transaction.ok());
    REQUIRE(transaction->add_file("f", "new").ok());
    CHECK_FALSE(dir.exists(".claude-init/stage/1"));
  }
  CHECK_FALSE(dir.exists("f"));
  CHECK_FALSE(dir.exists(".claude-init/stage"));
}

TEST_CASE("a planted stage or private directory that is a link leads nowhere") {
  const TempDir dir;
  const TempDir victim;
  victim.file("kept", "x");
  dir.dir(".claude-init");
  dir.link(".claude-init/stage", victim.path());
  auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::none);
  REQUIRE(transaction.ok());
  REQUIRE(transaction->add_file("f", "new").ok());
  REQUIRE(transaction->commit().ok());
  CHECK(victim.exists("kept"));
  CHECK_FALSE(victim.exists("1"));
  CHECK(dir.read("f") == "new");
  REQUIRE(::rmdir(dir.path(".claude-init").c_str()) == 0);
  dir.link(".claude-init", victim.path());
  CHECK_FALSE(Transaction::begin(tree_of(dir), Modes{}, Durability::none).ok());
}

TEST_CASE("a parent that was swapped for a link is not written through") {
  const TempDir dir;
  const TempDir victim;
  dir.dir("d");
  auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::none);
  REQUIRE(transaction->add_file("d/f", "new").ok());
  REQUIRE(::rmdir(dir.path("d").c_str()) == 0);
  const bool inside = GENERATE(false, true);
  dir.dir("inner");
  dir.link("d", inside ? "inner" : victim.path());
  CHECK_FALSE(transaction->commit().ok());
  CHECK_FALSE(victim.exists("f"));
  CHECK_FALSE(dir.exists("inner/f"));
}

TEST_CASE("a tree is staged with its content, links, times and our modes, and moved as one") {
  const TempDir from;
  const TempDir to;
  from.dir("new", 0777);
  from.dir("new/deep", 0500);
  from.dir("there");
  to.dir("there");
  REQUIRE(::chmod(from.path("new/deep").c_str(), 0700) == 0);
  from.file("new/deep/f", "content", 04755);
  from.mtime("new/deep/f", 1'600'000'000, 987'654'321);
  from.file("there/g", "g", 0666);
  from.link("new/l", "deep/f");
  auto transaction = Transaction::begin(tree_of(to), Modes{0640, 0750, 02750}, Durability::bulk);
  REQUIRE(transaction.ok());
  const auto staged = stage_all(from, to, *transaction);
  REQUIRE(staged.ok());
  CHECK(staged->added == 3);
  CHECK(staged->bytes == 8);
  CHECK_FALSE(to.exists("new"));
  CHECK_FALSE(to.exists("there/g"));
  REQUIRE(transaction->commit().ok());
  CHECK(to.read("new/deep/f") == "content");
  CHECK(to.mode("new/deep/f") == 0750);
  CHECK(to.mode("there/g") == 0640);
  CHECK(to.mode("new/deep") == 02750);
  CHECK(to.stat("new/deep/f").st_mtim.tv_nsec == 987'654'321);
  CHECK(to.target("new/l") == "deep/f");
}

TEST_CASE("many changed files in many directories all arrive") {
  const TempDir from;
  const TempDir to;
  for (int d = 0; d < 40; ++d) {
    const std::string name = "d" + std::to_string(d);
    from.dir(name);
    to.dir(name);
    from.file(name + "/f", name);
  }
  auto transaction = Transaction::begin(tree_of(to), Modes{}, Durability::bulk);
  REQUIRE(stage_all(from, to, *transaction).ok());
  REQUIRE(transaction->commit().ok());
  for (int d = 0; d < 40; ++d) CHECK(to.read("d" + std::to_string(d) + "/f") == "d" + std::to_string(d));
}

TEST_CASE("what went or was swapped between planning and staging is passed over or named, never followed") {
  const TempDir from;
  const TempDir to;
  const TempDir outside;
  outside.file("secret", "FAKE outside");
  for (const char* name : {"gone", "link", "fifo"}) from.file(name, "x");
  for (const char* name : {"dir-gone", "dir-link"}) {
    from.dir(name);
    from.file(std::string(name) + "/secret", "x");
  }
  from.dir("dir-link/sub");
  from.file("dir-link/sub/f", "x");
  const Tree source = tree_of(from);
  const Tree other = tree_of(to);
  const auto plan = make_plan(source, &other, {});
  for (const char* name : {"gone", "link", "fifo", "dir-gone/secret", "dir-link/secret", "dir-link/sub/f"}) {
    REQUIRE(::unlink(from.path(name).c_str()) == 0);
  }
  REQUIRE(::rmdir(from.path("dir-link/sub").c_str()) == 0);
  for (const char* name : {"dir-gone", "dir-link"}) REQUIRE(::rmdir(from.path(name).c_str()) == 0);
  from.link("link", outside.path("secret"));
  from.link("dir-link", outside.path());
  from.fifo("fifo");
  auto transaction = Transaction::begin(other, Modes{}, Durability::each);
  const auto staged = stage(*plan, source, *transaction, {});
  REQUIRE(staged.ok());
  CHECK(staged->added == 0);
  REQUIRE(transaction->commit().ok());
  for (const char* name : {"gone", "link", "fifo", "dir-gone", "dir-link"}) CHECK_FALSE(to.exists(name));
  CHECK(staged->skipped.size() == 3);  // all but what has gone, a directory once
}

TEST_CASE("out of time, what is left out is named and what was staged counts") {
  const TempDir from;
  const TempDir to;
  from.file("a", "x");
  from.dir("d");
  from.file("d/b", "y");
  auto transaction = Transaction::begin(tree_of(to), Modes{}, Durability::each);
  const auto staged = stage_all(from, to, *transaction, {std::chrono::steady_clock::now(), 1 << 20});
  REQUIRE(staged.ok());
  CHECK(staged->left_out == std::vector<std::string>{"a", "d/b"});
  CHECK(staged->added == 0);
  REQUIRE(transaction->commit().ok());
  CHECK_FALSE(to.exists("d"));
}

TEST_CASE("more bytes than allowed end the staging") {
  const TempDir from;
  const TempDir to;
  from.file("a", std::string(1000, 'x'));
  auto transaction = Transaction::begin(tree_of(to), Modes{}, Durability::each);
  const auto staged = stage_all(from, to, *transaction, {SteadyTime::max(), 999});
  REQUIRE_FALSE(staged.ok());
  CHECK(staged.error().kind == ErrorKind::limit);
}

TEST_CASE("both sides are used with their owners' rights, and what is made belongs to the owner") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir from;
  const TempDir to;
  from.dir("d", 0700);
  from.file("d/f", "x", 0600);
  from.file("root-only", "FAKE", 0600);
  for (const char* name : {"", "d", "d/f"}) REQUIRE(::chown(from.path(name).c_str(), 1234, 1235) == 0);
  REQUIRE(::chown(to.path().c_str(), 2345, 2346) == 0);
  const Tree source{from.fd(), from.path(), {1234, 1235}};
  const Tree other{to.fd(), to.path(), {2345, 2346}};
  const auto plan = make_plan(source, &other, {});
  auto transaction = Transaction::begin(other, Modes{}, Durability::bulk);
  REQUIRE(transaction.ok());
  const auto staged = stage(*plan, source, *transaction, {});
  REQUIRE(staged.ok());
  REQUIRE(transaction->commit().ok());
  for (const char* name : {"d", "d/f", ".claude-init"}) {
    INFO(name);
    CHECK(to.stat(name).st_uid == 2345);
    CHECK(to.stat(name).st_gid == 2346);
  }
  CHECK(to.read("d/f") == "x");
  CHECK_FALSE(to.exists("root-only"));
  REQUIRE(staged->skipped.size() == 1);
  CHECK(staged->skipped.front().reason == "cannot be read: Permission denied");
}

namespace {

/// A store that a crash has left between the commit point and the end: `journal` is committed and nothing of
/// it is in place.
void plant(const TempDir& dir, const Journal& journal, const std::string& staged, const std::string& text) {
  dir.dir(".claude-init");
  dir.dir(".claude-init/stage");
  dir.file(".claude-init/stage/" + staged, text);
  dir.file(".claude-init/journal", encode(journal));
}

}  // namespace

TEST_CASE("a committed transaction is finished by whoever comes next, once and again") {
  const TempDir dir;
  dir.dir("d");
  dir.file("d/f", "old");
  dir.file("d/goes", "x");
  dir.file("d/changed", "x");
  dir.dir("empty");
  Journal journal;
  journal.moves.push_back({"1-1", "d/f"});
  journal.moves.push_back({"1-2", "in-place-already"});
  journal.deletions.push_back({"d/goes", stamp_of(dir.stat("d/goes"))});
  journal.deletions.push_back({"d/changed", stamp_of(dir.stat("d/changed"))});
  journal.deletions.push_back({"gone/already", {}});
  journal.directories = {"d", "empty"};
  plant(dir, journal, "1-1", "new");
  dir.file("d/changed", "by somebody else");
  dir.file(".claude-init/stage/2-1", "uncommitted");
  const int times = GENERATE(1, 2);
  for (int i = 0; i < times; ++i) REQUIRE(Transaction::recover(tree_of(dir)).ok());
  CHECK(dir.read("d/f") == "new");
  CHECK_FALSE(dir.exists("d/goes"));
  CHECK(dir.read("d/changed") == "by somebody else");
  CHECK(dir.exists("d"));
  CHECK_FALSE(dir.exists("empty"));
  CHECK_FALSE(dir.exists(".claude-init/stage"));
  CHECK_FALSE(dir.exists(".claude-init/journal"));
  CHECK(dir.exists(".claude-init/committed"));
}

TEST_CASE("a transaction begins by finishing the one before, and never over its stage") {
  const TempDir dir;
  Journal journal;
  journal.moves.push_back({"1-1", "f"});
  plant(dir, journal, "1-1", "new");
  auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::each);
  REQUIRE(transaction.ok());
  CHECK(dir.read("f") == "new");
}

TEST_CASE("a journal that is damaged is set aside, said, and does not stop the next one") {
  const TempDir dir;
  Journal journal;
  journal.moves.push_back({"1-1", "f"});
  plant(dir, journal, "1-1", "new");
  SECTION("cut off") {
    dir.file(".claude-init/journal", encode(journal).substr(0, 30));
  }
  SECTION("empty") {
    dir.file(".claude-init/journal", "");
  }
  SECTION("a link") {
    REQUIRE(::unlink(dir.path(".claude-init/journal").c_str()) == 0);
    dir.link(".claude-init/journal", "/etc/passwd");
  }
  SECTION("a FIFO") {
    REQUIRE(::unlink(dir.path(".claude-init/journal").c_str()) == 0);
    dir.fifo(".claude-init/journal");
  }
  SECTION("a directory, where one was set aside before") {
    REQUIRE(::unlink(dir.path(".claude-init/journal").c_str()) == 0);
    dir.dir(".claude-init/journal");
    dir.dir(".claude-init/journal.damaged");
    dir.file(".claude-init/journal.damaged/x", "x");
  }
  REQUIRE(Transaction::recover(tree_of(dir)).ok());
  CHECK_FALSE(dir.exists("f"));
  CHECK_FALSE(dir.exists(".claude-init/journal"));
  CHECK(dir.exists(".claude-init/journal.damaged"));
  REQUIRE(Transaction::recover(tree_of(dir)).ok());
  auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::each);
  REQUIRE(transaction->add_file("f", "later").ok());
  REQUIRE(transaction->commit().ok());
  CHECK(dir.read("f") == "later");
}

TEST_CASE("a planted journal does nothing outside the store, and what is in the way is left as it is") {
  const TempDir dir;
  const TempDir victim;
  victim.file("kept", "x");
  dir.link("out", victim.path());
  dir.dir("directory");
  dir.dir("full");
  dir.file("full/f", "x");
  Journal journal;
  journal.moves.push_back({"1-1", "out/f"});
  journal.moves.push_back({"1-2", "full"});
  journal.moves.push_back({"1-3", "no/such/parent"});
  journal.moves.push_back({"1-4", "g"});
  journal.deletions.push_back({"out/kept", stamp_of(victim.stat("kept"))});
  journal.deletions.push_back({"directory", stamp_of(dir.stat("directory"))});
  journal.directories = {"out"};
  plant(dir, journal, "1-1", "FAKE");
  for (const char* name : {"1-2", "1-3", "1-4"}) dir.file(std::string(".claude-init/stage/") + name, name);
  REQUIRE(Transaction::recover(tree_of(dir)).ok());
  CHECK_FALSE(victim.exists("f"));
  CHECK(victim.read("kept") == "x");
  CHECK(dir.target("out") == victim.path());
  CHECK(dir.exists("directory"));
  CHECK(dir.read("full/f") == "x");
  CHECK(dir.read("g") == "1-4");
  CHECK_FALSE(dir.exists(".claude-init/journal"));
}

TEST_CASE("a login file alone has no journal: its rename is the commit") {
  const TempDir dir;
  for (const char* name : {".credentials.json", ".claude.json", "settings.json"}) {
    auto transaction = Transaction::begin(tree_of(dir), Modes{}, Durability::each);
    REQUIRE(transaction->add_file(name, "{}").ok());
    REQUIRE(transaction->commit().ok());
    CHECK(dir.exists(".claude-init/committed") == (std::string(name) == "settings.json"));
  }
}
