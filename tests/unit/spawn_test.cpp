#include "supervise/spawn.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "base/unique_fd.h"
#include "supervise/interpreter.h"

using namespace claude_init;
using namespace claude_init::supervise;

namespace {

const Inherited kInherited{};  // nothing blocked

int status_of(pid_t pid) {
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Command shell(const std::string& script) {
  return {{"/bin/sh", "-c", script}, {"PATH=/usr/bin:/bin"}, "", {}};
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() { REQUIRE(::mkdtemp(path_) != nullptr); }
  ~TemporaryDirectory() { static_cast<void>(!::system((std::string("rm -rf ") + path_).c_str())); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string path() const { return path_; }
  std::string file(const std::string& name, const std::string& content, mode_t mode) const {
    const std::string file_path = path() + "/" + name;
    std::ofstream(file_path) << content;
    ::chmod(file_path.c_str(), mode);
    return file_path;
  }

 private:
  char path_[32] = "/tmp/spawn_test.XXXXXX";
};

}  // namespace

TEST_CASE("the command is found in the PATH that it is given, not in ours") {
  const TemporaryDirectory directory;
  directory.file("only-here", "#!/bin/sh\nexit 11\n", 0755);
  const auto spawned =
      spawn(kInherited, {{"only-here"}, {"A=b", "PATH=/nowhere:" + directory.path()}, "", {}}, -1);
  REQUIRE(spawned.ok());
  CHECK_FALSE(spawned->failure);
  CHECK(status_of(spawned->pid) == 11);
}

TEST_CASE(
    "a command that is not there ends with 127, one that cannot be executed with 126, and both say why") {
  const TemporaryDirectory directory;
  const std::string plain = directory.file("plain", "", 0644);
  struct Case {
    std::string name;
    int status;
    int number;
  };
  const std::string path = "PATH=" + directory.path() + ":/nowhere";
  for (const Case& c : {Case{"no-such", 127, ENOENT}, Case{"/no/such", 127, ENOENT}, Case{"", 127, ENOENT},
                        Case{plain, 126, EACCES}, Case{"plain", 126, EACCES}, Case{"/", 126, EACCES},
                        Case{plain + "/x", 126, ENOTDIR}}) {
    INFO(c.name);
    const auto spawned = spawn(kInherited, {{c.name}, {path}, "", {}}, -1);
    REQUIRE(spawned.ok());
    REQUIRE(spawned->failure);
    CHECK(spawned->failure->number == c.number);
    CHECK(status_of(spawned->pid) == c.status);
  }
}

TEST_CASE(
    "a command without its interpreter, or its C library's loader, ends with 127 and says what it lacks") {
  const TemporaryDirectory directory;
  struct Case {
    std::string name;
    std::string content;
    std::string says;
  };
  for (const Case& c :
       {Case{"script", "#! /no/such/sh -e\n", "install what its first line names, /no/such/sh, or"},
        Case{"windows", "#!/bin/sh\r\nexit 0\r\n",
             "its first line, which names /bin/sh, ends as on Windows: save it with Unix line ends"},
        Case{"only-a-line", "#!/no/such/sh", "names, /no/such/sh, or"}}) {
    INFO(c.name);
    directory.file(c.name, c.content, 0755);
    const std::string path = "PATH=/nowhere:" + directory.path();
    for (const Command& command :
         {Command{{c.name}, {path}, "", {}}, Command{{"./" + c.name}, {}, directory.path(), {}}}) {
      const auto spawned = spawn(kInherited, command, -1);
      REQUIRE(spawned.ok());
      REQUIRE(spawned->failure);
      CHECK(spawned->failure->remedy.find(c.says) != std::string::npos);
      CHECK(status_of(spawned->pid) == 127);
    }
  }
  CHECK(how_to_interpret(directory.file("linked", "\177ELF and more", 0755)).find("C library") !=
        std::string::npos);
  for (const char* content : {"", "#", "#!", "#!\n", "text"}) {
    INFO(content);
    CHECK(how_to_interpret(directory.file("other", content, 0755)).find('/') == std::string::npos);
  }
  const std::string script = directory.file("of-elf", "#!" + directory.path() + "/linked -e\n", 0755);
  CHECK(how_to_interpret(script).starts_with(directory.path() +
                                             "/linked, which its first line names, is linked"));
  CHECK(how_to_interpret(directory.path() + "/none").empty());
}

TEST_CASE("of a command that only we could see nothing is said but that its user does not find it") {
  if (::geteuid() != 0) return;
  const TemporaryDirectory directory;
  directory.file("hidden", "#!/bin/sh\n", 0755);
  REQUIRE(::chmod(directory.path().c_str(), 0700) == 0);
  const auto nobody = [] { return ::setresuid(65534, 65534, 65534) == 0 ? 0 : errno; };
  const auto spawned =
      spawn(kInherited, {{"hidden"}, {"PATH=" + directory.path() + ":/usr/bin"}, "", nobody}, -1);
  REQUIRE(spawned.ok());
  REQUIRE(spawned->failure);
  CHECK(spawned->failure->number == ENOENT);
  CHECK(spawned->failure->remedy.starts_with("install it where its user finds it"));
  CHECK(status_of(spawned->pid) == 127);
}

TEST_CASE("a file of the same name that may not be run does not hide one further on in PATH") {
  const TemporaryDirectory first;
  const TemporaryDirectory second;
  first.file("tool", "", 0644);
  second.file("tool", "#!/bin/sh\nexit 12\n", 0755);
  const auto spawned =
      spawn(kInherited, {{"tool"}, {"PATH=" + first.path() + ":" + second.path()}, "", {}}, -1);
  REQUIRE(spawned.ok());
  CHECK(status_of(spawned->pid) == 12);
}

TEST_CASE("a script without an interpreter line is run by the shell, with its arguments") {
  const TemporaryDirectory directory;
  const std::string script = directory.file("script", "exit $(($1 + $2))\n", 0755);
  const auto spawned = spawn(kInherited, {{script, "20", "3"}, {}, "", {}}, -1);
  REQUIRE(spawned.ok());
  CHECK(status_of(spawned->pid) == 23);
}

TEST_CASE("the command has the environment and the directory that it is given") {
  Command command = shell("test \"$PWD:$(pwd):$X\" = \"/usr:/usr:a b\" && test -z \"$HOME\"");
  command.env = {"PATH=/usr/bin:/bin", "X=a b"};
  command.directory = "/usr";
  const auto spawned = spawn(kInherited, command, -1);
  REQUIRE(spawned.ok());
  CHECK(status_of(spawned->pid) == 0);
}

TEST_CASE("nothing runs when its directory or its preparation fails") {
  Command command = shell("exit 0");
  command.directory = "/no/such/directory";
  const auto no_directory = spawn(kInherited, command, -1);
  REQUIRE_FALSE(no_directory.ok());
  CHECK(no_directory.error().kind == ErrorKind::not_found);

  command = shell("exit 0");
  command.before_exec = [] { return EPERM; };
  const auto refused = spawn(kInherited, command, -1);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::permission);
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
}

TEST_CASE("when spawn returns, the command leads a group of its own that can be signalled") {
  for (int i = 0; i < 100; ++i) {
    const auto spawned = spawn(kInherited, {{"/bin/sleep", "60"}, {}, "", {}}, -1);
    REQUIRE(spawned.ok());
    REQUIRE(::getpgid(spawned->pid) == spawned->pid);
    REQUIRE(::kill(-spawned->pid, SIGTERM) == 0);
    REQUIRE(status_of(spawned->pid) == 128 + SIGTERM);
  }
}

TEST_CASE("the command has the descriptors that we were given, and none of ours") {
  const UniqueFd given(::fcntl(STDIN_FILENO, F_DUPFD, 50));
  const UniqueFd ours(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 60));
  REQUIRE(given.get() == 50);
  REQUIRE(ours.get() == 60);
  const auto spawned = spawn(kInherited, shell("test -e /proc/self/fd/50 && ! test -e /proc/self/fd/60"), -1);
  REQUIRE(spawned.ok());
  CHECK(status_of(spawned->pid) == 0);
}

TEST_CASE("the command has the mask and the ignored signals that we were given") {
  ::signal(SIGUSR1, SIG_IGN);
  ::signal(SIGCHLD, SIG_IGN);
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR2);
  ::sigprocmask(SIG_SETMASK, &blocked, &before);
  const Inherited inherited = take_over_signals();
  // grep itself: a shell in between would have its own ideas.
  const auto grep = [&](const std::string& pattern) {
    const auto spawned = spawn(inherited, {{"grep", "-Eq", pattern, "/proc/self/status"}, {}, "", {}}, -1);
    REQUIRE(spawned.ok());
    return status_of(spawned->pid);
  };
  CHECK(grep("^SigBlk:\\s0000000000000800$") == 0);
  CHECK(grep("^SigIgn:\\s[0-9a-f]{11}1[0-9a-f]2[0-9a-f]{2}$") == 0);
  give_back_signals(inherited);
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGUSR1, SIG_DFL);
  ::signal(SIGCHLD, SIG_DFL);
}

TEST_CASE("replacing ourselves runs the command, or returns the status and the reason") {
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto [status, error] = exec_instead(kInherited, shell("exit 33"));
    ::_exit(99);
  }
  CHECK(status_of(pid) == 33);
  const auto [status, error] = exec_instead(kInherited, {{"no-such-command"}, {}, "", {}});
  CHECK(status == 127);
  CHECK(error.number == ENOENT);
}
