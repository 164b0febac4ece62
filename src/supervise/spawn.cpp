#include "supervise/spawn.h"

#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/detail/throw_error.hpp>  // the next one needs it and does not include it
#include <boost/process/v2/posix/default_launcher.hpp>
#include <cerrno>
#include <string_view>

#include "base/interrupt.h"
#include "base/text.h"
#include "supervise/interpreter.h"
#include "ui/exit_status.h"

namespace claude_init::supervise {
namespace {

enum class Stage { group, directory, before_exec, exec };

/// What the child reports: it shares our memory until it executes.
struct Report {
  Stage stage = Stage::group;
  int number = 0;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  // execve(2) takes pointers to non-const for history's sake and changes nothing.
  for (const std::string& s : strings) out.push_back(const_cast<char*>(s.c_str()));
  out.push_back(nullptr);
  return out;
}

std::string_view path_of(const std::vector<std::string>& env) {
  for (const std::string& variable : env) {
    if (variable.starts_with("PATH=")) return std::string_view(variable).substr(5);
  }
  return "/usr/local/bin:/usr/bin:/bin";
}

/// The files that the name may stand for, in order (execvp(3)).
std::vector<std::string> candidates(const Command& command) {
  const std::string& name = command.argv.front();
  if (name.empty() || name.find('/') != std::string::npos) return {name};
  std::vector<std::string> out;
  for (std::string_view path = path_of(command.env);;) {
    const std::size_t colon = path.find(':');
    const std::string directory(path.substr(0, colon));
    out.push_back(directory.empty() ? name : directory + "/" + name);
    if (colon == std::string_view::npos) return out;
    path.remove_prefix(colon + 1);
  }
}

/// A launcher of Boost.Process that starts the child itself: of the base class it uses the pid and the
/// environment only, since the base forks the whole address space, closes the descriptors that we were given,
/// searches no PATH, calls exit(3) in a child whose exec has failed, and hands out a process object whose
/// destructor waits and kills.
/// vfork(2): the child uses our memory until it executes, while we stand still, so there are no page tables
/// to copy and what went wrong needs no pipe. The kernel makes that memory undumpable when the child changes
/// its user, so no process of that user can trace it meanwhile.
class Launcher : public boost::process::v2::posix::default_launcher {
 public:
  Launcher(const Inherited& inherited, const Command& command)
      : inherited_(inherited),
        command_(command),
        files_(candidates(command)),
        argv_pointers_(pointers(command.argv)),
        env_pointers_(pointers(command.env)) {
    // For a script without "#!": /bin/sh FILE ARGUMENTS…, FILE being filled in when it is known.
    script_ = argv_pointers_;
    script_.insert(script_.begin(), const_cast<char*>("/bin/sh"));
    env = env_pointers_.data();
  }

  /// 0 or errno of vfork. `pid` is the child's.
  int start(int terminal_fd) {
    pid = ::vfork();  // NOLINT: see above; the child calls async-signal-safe functions only
    if (pid == 0) {
      become_group(terminal_fd);
      if (report_.number == 0) execute();
      ::_exit(exit_status());
    }
    const int failure = pid < 0 ? errno : 0;
    // The memory is shared with the child until it executes, and so was the mark that its change of user
    // took.
    if (command_.before_exec) ::prctl(PR_SET_DUMPABLE, 0);
    return failure;
  }

  /// Everything from the change of user to exec; the directory with that user's rights. Returns only when it
  /// failed. Async-signal-safe.
  void execute() {
    if (command_.before_exec) {
      report_ = {Stage::before_exec, command_.before_exec()};
      if (report_.number != 0) return;
    }
    if (!command_.directory.empty() && ::chdir(command_.directory.c_str()) != 0) {
      report_ = {Stage::directory, errno};
      return;
    }
    give_back_signals(inherited_);
    report_ = {Stage::exec, try_files()};
  }

  [[nodiscard]] const Report& report() const { return report_; }
  [[nodiscard]] int exit_status() const {
    return report_.number == ENOENT ? kExitNotFound : kExitCannotExecute;
  }

  [[nodiscard]] Error error() const {
    switch (report_.stage) {
      case Stage::group:
        return system_error(report_.number, "give the command a process group");
      case Stage::directory:
        return system_error(report_.number, "enter " + printable(command_.directory));
      case Stage::before_exec:
        return system_error(report_.number, "prepare the command's process");
      case Stage::exec:
        break;
    }
    Error error = system_error(report_.number, "run " + printable(command_.argv.front()));
    error.remedy = remedy();
    return error;
  }

 private:
  /// Of a command that could not be executed; "" where nothing is known.
  [[nodiscard]] std::string remedy() const {
    if (report_.number == ENOENT) {
      const std::string missing = lacking_ == nullptr ? "" : how_to_interpret(in_its_directory(*lacking_));
      if (!missing.empty()) return missing;
      if (command_.argv.front().find('/') != std::string::npos) return "name a file that is there";
      return "install it where its user finds it, or name its whole path; PATH is " +
             printable(path_of(command_.env));
    }
    if (report_.number == EACCES)
      return "let the user that it runs as execute it: chmod a+rx, no noexec mount";
    return "";
  }

  [[nodiscard]] std::string in_its_directory(const std::string& file) const {
    const bool relative = !file.starts_with('/') && !command_.directory.empty();
    return relative ? command_.directory + "/" + file : file;
  }

  void become_group(int terminal_fd) {
    if (::setpgid(0, 0) != 0) {
      report_ = {Stage::group, errno};
    } else if (terminal_fd >= 0) {
      // SIGTTOU is blocked, so this works from the background. A terminal that has gone is no reason not to
      // run.
      static_cast<void>(::tcsetpgrp(terminal_fd, ::getpid()));
    }
  }

  /// The errno that counts: a file that is there and may not be run tells more than one that is not there, as
  /// far as anybody can tell in a directory that we may not enter.
  int try_files() {
    int failure = ENOENT;
    for (const std::string& file : files_) {
      ::execve(file.c_str(), argv_pointers_.data(), env_pointers_.data());
      if (errno == ENOEXEC) {
        script_[1] = const_cast<char*>(file.c_str());
        ::execve("/bin/sh", script_.data(), env_pointers_.data());
      }
      struct stat st {};
      if (errno == ENOENT && lacking_ == nullptr && ::stat(file.c_str(), &st) == 0) lacking_ = &file;
      if (errno == ENOENT || (errno == ENOTDIR && files_.size() > 1)) continue;
      const int refused = errno;
      if (refused == EACCES && files_.size() > 1 && ::stat(file.c_str(), &st) != 0) continue;
      failure = refused;
      if (failure != EACCES) break;
    }
    return failure;
  }

  const Inherited& inherited_;
  const Command& command_;
  std::vector<std::string> files_;
  std::vector<char*> argv_pointers_;
  std::vector<char*> env_pointers_;
  std::vector<char*> script_;
  Report report_;
  const std::string* lacking_ =
      nullptr;  // the first file that is there, to its user, and lacks what it needs to run
};

}  // namespace

Result<Spawned> spawn(const Inherited& inherited, const Command& command, int terminal_fd) {
  const interrupt::Pause pause;  // the child has our handlers' memory until it executes
  Launcher launcher(inherited, command);
  if (const int failure = launcher.start(terminal_fd); failure != 0) {
    return system_error(failure, "start a process for " + printable(command.argv.front()));
  }
  Spawned spawned{launcher.pid, std::nullopt, 0};
  if (launcher.report().number == 0) return spawned;
  if (launcher.report().stage != Stage::exec) return launcher.error();
  spawned.failure = launcher.error();
  spawned.exit_status = launcher.exit_status();
  return spawned;
}

std::pair<int, Error> exec_instead(const Inherited& inherited, const Command& command) {
  const interrupt::Pause pause;
  if (const auto go_on = interrupt::check(); !go_on) return {128 + interrupt::number(), go_on.error()};
  Launcher launcher(inherited, command);
  launcher.execute();
  return {launcher.exit_status(), launcher.error()};
}

}  // namespace claude_init::supervise
