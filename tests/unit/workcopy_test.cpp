#include "workcopy/workcopy.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/filesystem.hpp>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "user/account.h"
#include "user/privileges.h"
#include "workcopy/place.h"

using namespace claude_init;
using namespace claude_init::workcopy;
using namespace claude_init::user;
namespace bfs = boost::filesystem;

namespace {

constexpr uid_t kUid = 4321;
constexpr gid_t kGid = 4322;

/// A directory that goes with the test; everybody may enter it.
class Scratch {
 public:
  Scratch() {
    std::array<char, 32> pattern{"/tmp/claude-test-XXXXXX"};
    path_ = ::mkdtemp(pattern.data());
    ::chmod(path_.c_str(), 0755);
  }
  ~Scratch() {
    boost::system::error_code ignored;
    bfs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  [[nodiscard]] std::string directory(const std::string& name, uid_t uid, gid_t gid,
                                      mode_t mode = 0755) const {
    const std::string path = path_ + '/' + name;
    ::mkdir(path.c_str(), mode);
    ::chmod(path.c_str(), mode);
    if (::chown(path.c_str(), uid, gid) != 0) WARN("chown");
    return path;
  }
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + '/' + name) << text;
    return path_ + '/' + name;
  }

 private:
  std::string path_;
};

/// Some tests become somebody else; without root they show that they were left out.
bool is_root() {
  if (::geteuid() == 0) return true;
  WARN("skipped: needs root");
  return false;
}

Account somebody(const std::string& home = "/") {
  if (::geteuid() != 0) return {::geteuid(), ::getegid(), {}, "me", home, "/bin/sh"};
  return {kUid, kGid, {}, "somebody", home, "/bin/sh"};
}

WorkingCopy::Options in(const std::string& place) {
  return {{place, ""}, {}};
}

struct stat stat_of(const std::string& path) {
  struct stat st {};
  ::lstat(path.c_str(), &st);
  return st;
}

std::vector<std::string> entries(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : bfs::directory_iterator(path)) names.push_back(entry.path().filename().string());
  return names;
}

/// Runs `work` in a child and returns its exit status.
int in_child(const std::function<int()>& work) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(work());
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

AccountFiles sample_files(const Scratch& scratch) {
  return {scratch.file("passwd",
                       "root:x:0:0:root:/root:/bin/bash\n"
                       "daemon:x:1:1::/usr/sbin:/usr/sbin/nologin\n"
                       "node:x:1000:1001::/home/node:/bin/bash\n"
                       "bare:x:1002:1002:::\n"
                       "not a line\n"
                       "nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n"),
          scratch.file("group", "root:x:0:\nstaff:x:50:other,node\ndocker:x:60:node\nnode:x:1001:\n")};
}

}  // namespace

TEST_CASE("a user is found by name and by number, with groups") {
  const Scratch scratch;
  const AccountFiles files = sample_files(scratch);
  for (const char* spec : {"node", "1000"}) {
    INFO(spec);
    const auto account = find_account(spec, files);
    REQUIRE(account.ok());
    CHECK(account->uid == 1000);
    CHECK(account->gid == 1001);
    CHECK(account->groups == std::vector<gid_t>{50, 60});
    CHECK(account->name == "node");
    CHECK(account->home == "/home/node");
    CHECK(account->shell == "/bin/bash");
  }
  const auto bare = find_account("bare", files);
  REQUIRE(bare.ok());
  CHECK(bare->home == "/");
  CHECK(bare->shell == "/bin/sh");
}

TEST_CASE("a group beside the user replaces its groups") {
  const Scratch scratch;
  const AccountFiles files = sample_files(scratch);
  for (const char* spec : {"node:staff", "1000:50", "node:50", "1000:staff"}) {
    INFO(spec);
    const auto account = find_account(spec, files);
    REQUIRE(account.ok());
    CHECK(account->gid == 50);
    CHECK(account->groups.empty());
  }
}

TEST_CASE("a number needs no passwd entry, nor any passwd file") {
  const Scratch scratch;
  for (const AccountFiles& files : {sample_files(scratch), AccountFiles{"/nonexistent", "/nonexistent"}}) {
    const auto account = find_account("123456", files);
    REQUIRE(account.ok());
    CHECK(account->uid == 123456);
    CHECK(account->gid == 123456);
    CHECK(account->name == "123456");
    CHECK(account->home == "/");
    CHECK(find_account("123456:0", files)->gid == 0);
  }
}

TEST_CASE("a user that cannot be understood or found is refused with what to write") {
  const Scratch scratch;
  const AccountFiles files = sample_files(scratch);
  for (const char* bad : {"", ":", "node:", ":staff", "4294967295", "99999999999", "1000:4294967295"}) {
    INFO(bad);
    const auto account = find_account(bad, files);
    REQUIRE_FALSE(account.ok());
    CHECK(account.error().kind == ErrorKind::usage);
    CHECK_FALSE(account.error().remedy.empty());
  }
  const auto unknown = find_account("nodee", files);
  REQUIRE_FALSE(unknown.ok());
  CHECK(unknown.error().kind == ErrorKind::usage);
  CHECK(unknown.error().remedy.find("root, node, bare") != std::string::npos);
  CHECK(find_account("node:nogroup", files).error().kind == ErrorKind::usage);
}

TEST_CASE("HOME counts only where it is a directory of ours") {
  const Scratch scratch;
  const AccountFiles files{"/nonexistent", "/nonexistent"};
  const std::string ours = scratch.directory("ours", ::geteuid(), ::getegid());
  CHECK(current_account(ours, files).home == ours);
  CHECK(current_account("", files).home == "/");
  CHECK(current_account("relative", files).home == "/");
  CHECK(current_account(scratch / "absent", files).home == "/");
  if (is_root()) {
    CHECK(current_account(scratch.directory("theirs", kUid, kGid, 0777), files).home == "/");
  }
}

TEST_CASE("root becomes node by itself where there is one") {
  if (!is_root()) return;
  const Scratch scratch;
  CHECK(choose_account("", "", sample_files(scratch))->name == "node");
  CHECK(choose_account("", "", {"/nonexistent", "/nonexistent"})->uid == 0);
  CHECK(choose_account("root", "", sample_files(scratch))->uid == 0);
}

TEST_CASE("who cannot change the user is told what to do instead") {
  if (!is_root()) return;
  const Scratch scratch;
  const AccountFiles files = sample_files(scratch);
  const auto error_of = [&](const std::function<void()>& become, const std::string& part) {
    return in_child([&] {
      become();
      const auto account = choose_account("node", "", files);
      return !account.ok() && account.error().remedy.find(part) != std::string::npos ? 0 : 1;
    });
  };
  CHECK(error_of([] { (void)!::setresuid(kUid, kUid, kUid); }, "leave --user out") == 0);
  // Root that gave its capabilities up.
  CHECK(error_of(
            [] {
              __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
              const std::array<__user_cap_data_struct, 2> none{};
              (void)::syscall(SYS_capset, &header, none.data());
            },
            "--cap-add SETUID") == 0);
}

TEST_CASE("a dropped child is its target, has no capability left and no way back") {
  if (!is_root()) return;
  const Account target{kUid, kGid, {50, 60}, "somebody", "/", "/bin/sh"};
  const auto drop = drop_to(target, NewPrivileges::forbid);
  CHECK(in_child([&] {
          if (drop() != 0) return 1;
          uid_t r = 0, e = 0, s = 0;
          ::getresuid(&r, &e, &s);
          if (r != kUid || e != kUid || s != kUid) return 2;
          std::array<gid_t, 8> groups{};
          if (::getgroups(groups.size(), groups.data()) != 2 || groups[0] != 50 || groups[1] != 60) return 3;
          if (::getegid() != kGid || ::setuid(0) == 0 || ::setgid(0) == 0) return 4;
          if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return 5;
          std::ifstream status("/proc/self/status");
          for (std::string line; std::getline(status, line);) {
            if (line.starts_with("Cap") &&
                line.find_first_not_of("0", line.find('\t') + 1) != std::string::npos) {
              return 6;
            }
          }
          return 0;
        }) == 0);
}

TEST_CASE("new privileges are left alone where they are allowed") {
  if (!is_root()) return;
  const auto drop = drop_to(somebody(), NewPrivileges::allow);
  CHECK(in_child([&] { return drop() == 0 && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0 ? 0 : 1; }) == 0);
}

TEST_CASE("a drop that is not possible fails, and nobody is left half dropped unnoticed") {
  if (!is_root()) return;
  const auto drop = drop_to({kUid + 1, kGid, {}, "other", "/", "/bin/sh"}, NewPrivileges::forbid);
  CHECK(in_child([&] {
          if (::setresuid(kUid, kUid, kUid) != 0) return 1;
          return drop() == EPERM ? 0 : 2;
        }) == 0);
}

TEST_CASE("who is the target already only gives up new privileges") {
  const Account ourselves = current_account("");
  const auto drop = drop_to(ourselves, NewPrivileges::forbid);
  CHECK(in_child([&] {
          return drop() == 0 && ::geteuid() == ourselves.uid && ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
                     ? 0
                     : 1;
        }) == 0);
}

TEST_CASE("a working copy is the target's own and nobody else's") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid, 02777);
  const auto copy = WorkingCopy::create(target, in(place));
  REQUIRE(copy.ok());
  CHECK(copy->root().starts_with(place + "/claude-init-"));
  CHECK(copy->state().config_dir == copy->root() + "/claude");
  for (const std::string& path : {copy->root(), copy->state().config_dir}) {
    CHECK(stat_of(path).st_uid == target.uid);
    CHECK((stat_of(path).st_mode & 07777) == 0700);
  }
}

TEST_CASE("a wiped copy leaves nothing, however deep and locked away") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  auto copy = WorkingCopy::create(target, in(place));
  REQUIRE(copy.ok());
  const int made = in_child([&] {
    if (::geteuid() == 0 && (::setresgid(kGid, kGid, kGid) != 0 || ::setresuid(kUid, kUid, kUid) != 0))
      return 1;
    if (::chdir(copy->state().config_dir.c_str()) != 0) return 2;
    std::ofstream(".credentials.json") << "FAKE";
    if (::symlink("/", "root") != 0) return 3;
    for (int i = 0; i < 300; ++i) {
      if (::mkdir("d", 0700) != 0 || ::chdir("d") != 0) return 4;
      std::ofstream("f") << "x";
    }
    return ::chmod((copy->state().config_dir + "/d").c_str(), 0) == 0 ? 0 : 5;
  });
  REQUIRE(made == 0);
  CHECK(copy->wipe().ok());
  CHECK(entries(place).empty());
}

TEST_CASE("the login's bytes are overwritten before the file goes") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  auto copy = WorkingCopy::create(target, in(place));
  REQUIRE(copy.ok());
  const std::string login = copy->state().config_dir + "/.credentials.json";
  std::ofstream(login) << "FAKE-token";
  REQUIRE(::chown(login.c_str(), target.uid, target.gid) == 0);
  std::ifstream held(login);
  CHECK(copy->wipe().ok());
  std::string text;
  std::getline(held, text);
  CHECK(text == std::string(10, '\0'));
}

TEST_CASE(
    "a copy that there is no time to wipe has lost its login at least, and is the next one's to remove") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  std::string config;
  {
    auto copy = WorkingCopy::create(target, in(place));
    REQUIRE(copy.ok());
    config = copy->state().config_dir;
    std::ofstream(config + "/.credentials.json") << "FAKE-token";
    REQUIRE(::chown((config + "/.credentials.json").c_str(), target.uid, target.gid) == 0);
    for (int i = 0; i < 1000; ++i) std::ofstream(config + '/' + std::to_string(i)) << "x";
    REQUIRE(::chmod(config.c_str(), 0) == 0);
    const auto wiped = copy->wipe(Deadline([] { return true; }));
    REQUIRE_FALSE(wiped.ok());
    CHECK(wiped.error().kind == ErrorKind::limit);
  }
  CHECK(bfs::exists(config));
  CHECK_FALSE(bfs::exists(config + "/.credentials.json"));
  CHECK(remove_dead_copies(target, {place, ""}, Deadline([] { return true; })) == 0);
  CHECK(remove_dead_copies(target, {place, ""}) == 1);
  CHECK(entries(place).empty());
}

TEST_CASE("only copies whose run is dead are removed") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  const auto alive = WorkingCopy::create(target, in(place));
  REQUIRE(alive.ok());
  std::string dead_root;
  {
    const auto dead = WorkingCopy::create(target, in(place));
    REQUIRE(dead.ok());
    dead_root = dead->root();
  }
  (void)scratch.directory("place/claude-init-short", target.uid, target.gid);
  (void)scratch.directory("place/other-directory", target.uid, target.gid);
  CHECK(remove_dead_copies(target, {place, ""}) == 1);
  CHECK_FALSE(bfs::exists(dead_root));
  CHECK(bfs::exists(alive->root()));
  CHECK(entries(place).size() == 3);
}

TEST_CASE("copies are made while others look for dead ones") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  std::array<pid_t, 4> looking{};
  for (pid_t& pid : looking) {
    pid = ::fork();
    if (pid != 0) continue;
    for (;;) (void)remove_dead_copies(target, {place, ""});
  }
  constexpr unsigned kCopies = 300;
  unsigned made = 0;
  for (unsigned i = 0; i < kCopies; ++i) {
    auto copy = WorkingCopy::create(target, in(place));
    made += copy && copy->wipe() ? 1 : 0;
  }
  for (const pid_t pid : looking) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  CHECK(made == kCopies);
}

TEST_CASE("somebody else's copy is left alone") {
  if (!is_root()) return;
  const Scratch scratch;
  const std::string place = scratch.directory("place", 0, 0, 0777);
  const std::string theirs = scratch.directory("place/claude-init-aaaaaaaa", 999, 999, 0777);
  CHECK(remove_dead_copies(somebody(), {place, ""}) == 0);
  CHECK(bfs::exists(theirs));
}

TEST_CASE("the lock lives on in a program that replaces us, and only if it is asked to") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  for (const bool keep : {false, true}) {
    INFO(keep);
    std::array<int, 2> ready{};
    std::array<int, 2> done{};
    REQUIRE(::pipe(ready.data()) == 0);
    REQUIRE(::pipe(done.data()) == 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto copy = WorkingCopy::create(target, in(place));
      if (!copy.ok()) ::_exit(1);
      if (keep) copy->keep_lock_over_exec();
      ::dup2(done[0], 0);
      ::dup2(ready[1], 1);
      ::close(done[1]);
      ::execl("/bin/sh", "sh", "-c", "echo; read -r line", nullptr);
      ::_exit(1);
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    CHECK(remove_dead_copies(target, {place, ""}) == (keep ? 0 : 1));
    for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);
    ::waitpid(pid, nullptr, 0);
    CHECK(remove_dead_copies(target, {place, ""}) == (keep ? 1 : 0));
  }
}

TEST_CASE("a place that will not do is named with the reason") {
  const Scratch scratch;
  const Account target = somebody();
  const auto failure = [&](const std::string& place, Demand demand = {}) {
    const auto copy = WorkingCopy::create(target, {{place, ""}, demand});
    REQUIRE_FALSE(copy.ok());
    CHECK_FALSE(copy.error().remedy.empty());
    CHECK(copy.error().what.find(place) != std::string::npos);
    return copy.error();
  };
  CHECK(failure(scratch / "absent").kind == ErrorKind::not_found);
  CHECK(failure(scratch.file("file", "")).kind == ErrorKind::not_found);
  const std::string place = scratch.directory("place", target.uid, target.gid);
  CHECK(failure(place, {std::uint64_t{1} << 60, false}).kind == ErrorKind::no_space);
  CHECK(failure(place, {~std::uint64_t{0}, false}).kind == ErrorKind::no_space);
  // One and a half times this is 0 in 64 bits.
  CHECK(failure(place, {0xAAAA'AAAA'AAAA'AAAB, false}).kind == ErrorKind::no_space);
  CHECK(entries(place).empty());
  if (is_root()) CHECK(failure(scratch.directory("theirs", 0, 0, 0755)).kind == ErrorKind::permission);
}

TEST_CASE("mount options decide about a place") {
  if (!is_root()) return;
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("mounted", 0, 0);
  REQUIRE(::mount("none", place.c_str(), "tmpfs", MS_NOEXEC, "mode=1777,size=1m") == 0);
  CHECK(WorkingCopy::create(target, {{place, ""}, {1000, false}}).ok());
  // Programs may be there, and room may be short: neither is known.
  const auto noexec = WorkingCopy::create(target, {{place, ""}, {1000, true}});
  CHECK((noexec.ok() && noexec->noexec()));
  CHECK(!open_place(place, {1000, true}, Fit::comfortable).ok());
  CHECK(WorkingCopy::create(target, {{place, ""}, {900'000, false}}).ok());
  const auto small = WorkingCopy::create(target, {{place, ""}, {2'000'000, false}});
  CHECK((!small.ok() && small.error().kind == ErrorKind::no_space));
  REQUIRE(::mount("none", place.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0);
  const auto read_only = WorkingCopy::create(target, {{place, ""}, {}});
  CHECK((!read_only.ok() && read_only.error().kind == ErrorKind::read_only));
  REQUIRE(::umount2(place.c_str(), MNT_DETACH) == 0);
}

TEST_CASE("places in memory come first, and each only once") {
  const Account target = somebody("/tmp");
  const auto places = candidates({"", "/dev/shm"}, target);
  REQUIRE(places.size() == 3);
  CHECK(places.front() == "/dev/shm");
  CHECK(std::count(places.begin(), places.end(), "/tmp") == 1);
  CHECK(candidates({"", ""}, somebody("/")).size() == 2);
  CHECK(candidates({"/proc/self/..", "/dev/shm"}, target) == std::vector<std::string>{"/proc"});
  CHECK(memory_left() > 0);
}

TEST_CASE("the home directory leads to the copy while it lives") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  const std::string home = scratch.directory("home", target.uid, target.gid);
  {
    auto dead = WorkingCopy::create(target, in(place));
    REQUIRE(dead.ok());
    dead->link_home(home);
    CHECK(bfs::read_symlink(home + "/.claude").string() == dead->state().config_dir);
  }
  CHECK(remove_dead_copies(target, {place, ""}) == 1);
  auto copy = WorkingCopy::create(target, in(place));
  auto second = WorkingCopy::create(target, in(place));
  REQUIRE((copy.ok() && second.ok()));
  copy->link_home(home);
  second->link_home(home);
  CHECK(bfs::read_symlink(home + "/.claude").string() == copy->state().config_dir);
  CHECK(bfs::read_symlink(home + "/.claude.json").string() == copy->state().claude_json);
  CHECK(stat_of(home + "/.claude").st_uid == target.uid);
  CHECK(second->wipe().ok());
  CHECK(entries(home).size() == 2);
  CHECK(copy->wipe().ok());
  CHECK(entries(home).empty());
}

TEST_CASE("a home directory with a state of its own stays as it is") {
  const Scratch scratch;
  const Account target = somebody();
  const std::string place = scratch.directory("place", target.uid, target.gid);
  const std::string home = scratch.directory("home", target.uid, target.gid);
  std::ofstream(home + "/.claude.json") << "{}";
  auto copy = WorkingCopy::create(target, in(place));
  REQUIRE(copy.ok());
  copy->link_home(home);
  CHECK(entries(home) == std::vector<std::string>{".claude.json"});
  CHECK(copy->wipe().ok());
  CHECK(stat_of(home + "/.claude.json").st_size == 2);
}
