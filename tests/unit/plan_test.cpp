#include "sync/plan.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <catch2/catch.hpp>

#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::sync;
using test::TempDir;

namespace {

Tree tree_of(const TempDir& dir) {
  return {dir.fd(), dir.path(), fs::current_identity()};
}

Plan plan(const TempDir& from, const TempDir* to, ScanOptions options = {}) {
  const Tree source = tree_of(from);
  const Tree other = to == nullptr ? Tree{} : tree_of(*to);
  auto made = make_plan(source, to == nullptr ? nullptr : &other, options);
  REQUIRE(made.ok());
  return std::move(*made);
}

/// "path", "path -> target", "path/" for a new directory; sorted.
std::vector<std::string> lines(const Plan& plan) {
  std::vector<std::string> out;
  for (const auto& directory : plan.directories) {
    if (directory.is_new) out.push_back(directory.path + "/");
    for (const auto& entry : directory.entries) {
      const std::string path = directory.path.empty() ? entry.name : directory.path + "/" + entry.name;
      out.push_back(entry.link_target.empty() ? path : path + " -> " + entry.link_target);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string why_skipped(const Plan& plan, const std::string& path) {
  for (const Skipped& skipped : plan.skipped) {
    if (skipped.path == path) return skipped.reason;
  }
  return "not skipped";
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("everything is new where there is nothing yet, and nothing is where all is the same") {
  const TempDir from;
  const TempDir to;
  from.file("f", "1");
  from.dir("d");
  from.dir("d/e");
  from.file("d/e/g", "22", 0755);
  from.link("d/l", "e/g");
  from.dir("empty");
  CHECK(lines(plan(from, &to)) == Lines{"d/", "d/e/", "d/e/g", "d/l -> e/g", "empty/", "f"});
  const Plan measured = plan(from, nullptr);
  CHECK(measured.files == 3);
  CHECK(measured.has_executables);

  to.file("f", "2");
  to.dir("d");
  to.dir("d/e");
  to.file("d/e/g", "xx", 0600);
  to.link("d/l", "e/g");
  to.dir("empty");
  for (const TempDir* side : {&from, &to}) {
    for (const char* name : {"f", "d/e/g"}) side->mtime(name, 1'700'000'000, 123'456'789);
  }
  const Plan same = plan(from, &to);
  CHECK(lines(same).empty());
  CHECK(same.unchanged == 3);
}

TEST_CASE("another size, another time or another target is a change") {
  const TempDir from;
  const TempDir to;
  for (const TempDir* side : {&from, &to}) {
    for (const char* name : {"same", "size", "time"}) {
      side->file(name, "x");
      side->mtime(name, 1'700'000'000, 5);
    }
  }
  from.file("size", "xx");
  from.mtime("size", 1'700'000'000, 5);
  from.mtime("time", 1'700'000'000, 6);
  from.link("link", "same");
  to.link("link", "size");
  const Plan made = plan(from, &to);
  CHECK(lines(made) == Lines{"link -> same", "size", "time"});
  for (const auto& entry : made.directories.front().entries) CHECK(entry.replaces);
}

TEST_CASE("what is no file, directory or link inside is skipped by name and never waited for") {
  const TempDir from;
  from.fifo("fifo");
  from.dir("d");
  from.link("d/out", "../../etc/passwd");
  from.link("d/in", "../f");
  from.link("absolute", "/etc/passwd");
  from.link("absolute-in", from.path("f"));
  from.link("dangling", "nowhere");
  from.file("f\n\xff", "named oddly");
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  from.path("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  const Plan made = plan(from, nullptr);
  CHECK(lines(made) == Lines{"absolute-in -> f", "d/", "d/in -> ../f", "dangling -> nowhere", "f\n\xff"});
  CHECK(why_skipped(made, "fifo") == "is a FIFO");
  CHECK(why_skipped(made, "socket") == "is a socket");
  CHECK(why_skipped(made, "d/out") == "points outside");
  CHECK(why_skipped(made, "absolute") == "points outside");
}

TEST_CASE("a link that leads outside is followed where that is asked for, and no further") {
  const TempDir elsewhere;
  elsewhere.file("settings.json", "{}");
  elsewhere.dir("skill");
  elsewhere.file("skill/SKILL.md", "1");
  elsewhere.link("skill/out", "/etc/hostname");
  const TempDir from;
  from.dir("skills");
  from.link("skills/one", elsewhere.path("skill"));
  from.link("settings.json", elsewhere.path("settings.json"));
  from.link("all", "/");
  from.link("device", "/dev/null");
  const Plan all = plan(from, nullptr, {.follow_links_out = true});
  CHECK(lines(all) == Lines{"settings.json", "skills/", "skills/one/", "skills/one/SKILL.md"});
  CHECK(why_skipped(all, "skills/one/out") == "points outside, from outside");
  CHECK(why_skipped(all, "all") != "not skipped");
  CHECK(why_skipped(all, "device") == "points outside: is a device");
  CHECK(lines(plan(from, nullptr, {.filter = {.include = {"settings.json"}, .exclude = {}}})) ==
        Lines{"settings.json", "skills/"});
  // What a store's own files are linked as does not come into it again.
  const TempDir store;
  store.file("FAKE", "1");
  const TempDir session;
  session.link("mirror", store.path());
  session.link("token", store.path("FAKE"));
  CHECK(lines(plan(session, &store, {.follow_links_out = true})).empty());
}

TEST_CASE("the login files, what is not captured and a Kubernetes volume's own entries are left alone") {
  const TempDir from;
  from.file(".credentials.json", "FAKE");
  from.file(".claude.json", "{}");
  from.dir(".claude-init");
  from.file(".claude-init/journal", "planted");
  from.dir("sessions");
  from.file("sessions/x", "");
  from.dir("d");
  from.file("d/.credentials.json", "deeper down it is a file like any other");
  CHECK(lines(plan(from, nullptr)) == Lines{"d/", "d/.credentials.json"});
  CHECK(lines(plan(from, nullptr, {.filter = {{"sessions/x"}, {}}})) ==
        Lines{"d/", "d/.credentials.json", "sessions/", "sessions/x"});
}

TEST_CASE("links through a Kubernetes volume's ..data are followed, files and directories") {
  const TempDir from;
  from.dir("..2026_1");
  from.file("..2026_1/settings.json", "{}");
  from.dir("..2026_1/deep");
  from.file("..2026_1/deep/file", "1");
  from.link("..data", "..2026_1");
  from.link("settings.json", "..data/settings.json");
  from.link("deep", "..data/deep");
  const Plan made = plan(from, nullptr);
  CHECK(lines(made) == Lines{"deep/", "deep/file", "settings.json"});
  CHECK(made.skipped.empty());
  CHECK(lines(plan(from, nullptr, {.extent = Extent::login})) == Lines{"settings.json"});
}

TEST_CASE("links in a circle through ..data come to an end") {
  const TempDir from;
  from.dir("..d");
  from.link("..d/again", "../..d");
  from.link("start", "..d");
  const Plan once = plan(from, nullptr);
  REQUIRE(once.skipped.size() == 1);
  CHECK(once.skipped.front().reason.find("Too many levels of symbolic links") != std::string::npos);
  // Two links double the tree with each level.
  from.link("..d/twice", "../..d");
  const Tree tree = tree_of(from);
  const auto made = make_plan(tree, nullptr, {.limits = {.max_files = 1000}});
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().kind == ErrorKind::limit);
}

TEST_CASE("too many files, too many bytes and too deep directories are refused") {
  const TempDir from;
  from.dir("a");
  from.dir("a/b");
  from.file("a/b/f", std::string(10'000, 'x'));
  const Tree tree = tree_of(from);
  const auto kind = [&](Limits limits) {
    const auto made = make_plan(tree, nullptr, {.extent = Extent::all, .limits = limits});
    return made ? "fits" : made.error().kind == ErrorKind::limit ? "limit" : "other";
  };
  CHECK(kind({10'000, 3, 2}) == std::string("fits"));
  CHECK(kind({9'999, 3, 2}) == std::string("limit"));
  CHECK(kind({10'000, 2, 2}) == std::string("limit"));
  CHECK(kind({10'000, 3, 1}) == std::string("limit"));
}

TEST_CASE("a hole counts for nothing") {
  const TempDir from;
  from.file("sparse", "");
  REQUIRE(::truncate(from.path("sparse").c_str(), off_t{100} << 30) == 0);
  CHECK(plan(from, nullptr).bytes < 1 << 20);
}

TEST_CASE("nothing is put where a directory, or where something else than a directory, is") {
  const TempDir from;
  const TempDir to;
  from.file("was-directory", "x");
  to.dir("was-directory");
  from.dir("was-file");
  from.file("was-file/f", "x");
  to.file("was-file", "x");
  from.dir("was-link");
  from.file("was-link/f", "x");
  to.link("was-link", "was-directory");
  const Plan made = plan(from, &to);
  CHECK(lines(made).empty());
  CHECK(why_skipped(made, "was-directory") == "what is in its place is a directory");
  CHECK(why_skipped(made, "was-file") == "what is in its place is a file");
  CHECK(why_skipped(made, "was-link") == "what is in its place is a link");
}

TEST_CASE("a tree is neither compared with itself nor swallows the other one in it") {
  const TempDir from;
  const Tree tree = tree_of(from);
  const auto same = make_plan(tree, &tree, {});
  REQUIRE_FALSE(same.ok());
  CHECK(same.error().kind == ErrorKind::invalid);
  from.dir("store");
  from.file("store/f", "x");
  const UniqueFd inner(::open(from.path("store").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Tree store{inner.get(), from.path("store"), fs::current_identity()};
  const auto made = make_plan(tree, &store, {});
  REQUIRE(made.ok());
  CHECK(lines(*made).empty());
}

TEST_CASE("what the source's owner may not read is skipped by name, also as a hard link of another user's") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir from;
  from.file("mine", "x");
  from.file("unsearchable-root-file", "x", 0600);
  from.dir("closed", 0700);
  from.dir("listed", 0744);
  from.file("listed/f", "x");
  REQUIRE(::link(from.path("mine").c_str(), from.path("hard").c_str()) == 0);
  REQUIRE(::chown(from.path().c_str(), 1234, 1234) == 0);
  const Tree tree{from.fd(), from.path(), {1234, 1234}};
  const auto made = make_plan(tree, nullptr, {});
  REQUIRE(made.ok());
  CHECK(why_skipped(*made, "hard") == "is a hard link to a file of another user");
  CHECK(why_skipped(*made, "mine") == "is a hard link to a file of another user");
  CHECK(why_skipped(*made, "closed") == "cannot be read: Permission denied");
  CHECK(why_skipped(*made, "listed") == "cannot be read: Permission denied");
  // Found out when it is opened.
  CHECK(lines(*made) == Lines{"unsearchable-root-file"});
}

TEST_CASE("of many directories, by several threads, nothing is lost and the order stays that of the names") {
  constexpr int kDirectories = 60;
  const TempDir from;
  const TempDir to;
  Lines expected;
  for (int i = 0; i < kDirectories; ++i) {
    const std::string name = "d" + std::to_string(100 + i);
    for (const std::string& path : {name, name + "/below"}) {
      from.dir(path);
      expected.push_back(path);
      from.file(path + "/f", "12345");
      from.link(path + "/outside", "/etc/passwd");
    }
  }
  Baseline noted;
  const Plan first = plan(from, &to, {.noted = &noted});
  Lines found;
  for (const auto& directory : first.directories) {
    if (!directory.path.empty()) found.push_back(directory.path);
  }
  CHECK(found == expected);
  CHECK(first.files == 2 * kDirectories);
  CHECK(first.bytes == 10 * kDirectories);
  CHECK(first.skipped.size() == 2 * kDirectories);
  const Tree tree = tree_of(from);
  const auto limited = [&](Limits limits) { return make_plan(tree, nullptr, {.limits = limits}); };
  CHECK(limited({10 * kDirectories, 6 * kDirectories, 2}).ok());
  CHECK(limited({10 * kDirectories - 1, 6 * kDirectories, 2}).error().kind == ErrorKind::limit);
  CHECK(limited({10 * kDirectories, 6 * kDirectories - 1, 2}).error().kind == ErrorKind::limit);

  REQUIRE(std::system(("cp -a " + from.path() + "/. " + to.path()).c_str()) == 0);
  to.file("d110/below/more", "");
  to.file("d150/more", "");
  const Plan again = plan(from, &to, {.deletions = Deletions::all, .noted = &noted});
  CHECK(again.directories.empty());
  CHECK(again.unchanged == 2 * kDirectories);
  CHECK(noted.has("d100/below/f"));
  CHECK(noted.has("d159/f"));
  // What is skipped may be there: it is not missing.
  Lines deleted;
  for (const auto& deletion : again.deletions) deleted.push_back(deletion.path);
  CHECK(deleted == Lines{"d110/below/more", "d150/more"});
}

TEST_CASE("what is the same on both sides and is not wanted is neither counted nor noted") {
  const TempDir from;
  const TempDir to;
  for (const char* name : {".credentials.json", "settings.json", "f", "x.lock"}) from.file(name, "same");
  REQUIRE(std::system(("cp -a " + from.path() + "/. " + to.path()).c_str()) == 0);
  Baseline noted;
  CHECK(plan(from, &to, {.noted = &noted}).unchanged == 2);
  CHECK(noted.has("f"));
  CHECK_FALSE(noted.has("x.lock"));
  CHECK_FALSE(noted.has(".credentials.json"));
  CHECK(plan(from, &to, {.extent = Extent::login}).unchanged == 1);
}

TEST_CASE(
    "looking through very much ends soon after its deadline, and a little is looked through all the same") {
  const TempDir from;
  const TempDir to;
  for (int d = 0; d < 20; ++d) {
    const std::string directory = "d" + std::to_string(d);
    from.dir(directory);
    for (int f = 0; f < 400; ++f) from.file(directory + '/' + std::to_string(f), "");
  }
  ScanOptions options;
  options.deadline = Deadline([] { return true; });
  const Tree source = tree_of(from);
  const Tree other = tree_of(to);
  const auto late = make_plan(source, &other, options);
  REQUIRE_FALSE(late.ok());
  CHECK(late.error().kind == ErrorKind::limit);
  const TempDir few;
  few.file("f", "x");
  CHECK(plan(few, &to, options).files == 1);
}
