// Runs a program and interferes with one of its system calls: strace --inject without what strace costs.
//
//   killer count COMMAND...           the number of each system call that it makes, one a line, on descriptor
//   3 killer kill N COMMAND...          SIGKILL before the Nth, which is then not made killer fail N ERRNO
//   COMMAND...    the Nth is not made and fails with ERRNO (a number) killer refuse CALL ERRNO COMMAND...
//   every one of that number fails so, as under a seccomp profile
//
// Threads and children of the command count as well. The execve that starts it does not. Exits as the command
// does, and dies by the signal that it died of; 125 if it made fewer than N calls.
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

namespace {

constexpr int kTooFew = 125;
constexpr int kSyscallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD

enum class Mode { count, kill, fail, refuse };

struct Plan {
  Mode mode = Mode::count;
  long number = 0;  // of the call in turn, or of the system call that is refused
  long error = 0;
  int report = -1;
  char** command = nullptr;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(124);
}

Plan parse(int argc, char** argv) {
  Plan plan;
  const std::string mode = argc > 1 ? argv[1] : "";
  int next = 2;
  if (mode == "kill" || mode == "fail" || mode == "refuse") {
    if (argc > next) plan.number = std::atol(argv[next++]);
    plan.mode = mode == "kill" ? Mode::kill : mode == "fail" ? Mode::fail : Mode::refuse;
  } else if (mode == "count" && argc > next) {
    plan.report = ::open(argv[next++], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (plan.report < 0) die(argv[2]);
  } else {
    next = argc;
  }
  if (plan.mode == Mode::fail || plan.mode == Mode::refuse) {
    if (argc > next) plan.error = std::atol(argv[next++]);
  }
  if (next >= argc) {
    std::fputs("usage: killer count FILE|kill N|fail N ERRNO|refuse CALL ERRNO COMMAND...\n", stderr);
    std::exit(64);
  }
  plan.command = argv + next;
  return plan;
}

class Tracer {
 public:
  explicit Tracer(const Plan& plan) : plan_(plan) {}

  // 1. Start the command, stopped before its first own instruction.
  // 2. Stop at each entry to and exit from a system call, of each of its threads.
  // 3. End as it did.
  int run() {
    // 1.
    const pid_t main = ::fork();
    if (main < 0) die("fork");
    if (main == 0) {
      ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
      ::raise(SIGSTOP);
      ::execv(plan_.command[0], plan_.command);
      ::_exit(127);
    }
    int status = 0;
    if (::waitpid(main, &status, 0) != main || !WIFSTOPPED(status)) die("waitpid");
    constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
                              PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (::ptrace(PTRACE_SETOPTIONS, main, nullptr, kOptions) != 0) die("PTRACE_SETOPTIONS");
    ::ptrace(PTRACE_CONT, main, nullptr, nullptr);
    // 2.
    int end = 0;
    while (true) {
      const pid_t task = ::waitpid(-1, &status, __WALL);
      if (task < 0) break;
      if (WIFSTOPPED(status)) {
        stopped(task, status);
      } else {
        if (task == main) end = status;
        tasks_.erase(task);
      }
    }
    // 3.
    if (WIFSIGNALED(end)) {
      ::signal(WTERMSIG(end), SIG_DFL);
      ::raise(WTERMSIG(end));
    }
    const bool happened = plan_.mode == Mode::count || plan_.mode == Mode::refuse || seen_ >= plan_.number;
    return happened ? WEXITSTATUS(end) : kTooFew;
  }

 private:
  void stopped(pid_t task, int status) {
    const int signal = WSTOPSIG(status);
    const int event = status >> 16;
    if (event == PTRACE_EVENT_EXEC) started_ = true;
    if (signal == kSyscallStop) {
      if (!call(task)) return;
      ::ptrace(PTRACE_SYSCALL, task, nullptr, nullptr);
      return;
    }
    // A new thread or child begins with a SIGSTOP of ptrace's; other signals are the command's own.
    const bool ours = event != 0 || signal == SIGTRAP || (signal == SIGSTOP && tasks_.insert(task).second);
    ::ptrace(started_ ? PTRACE_SYSCALL : PTRACE_CONT, task, nullptr, ours ? 0 : signal);
  }

  /// At the entry to or exit from a call. Returns whether the task goes on.
  bool call(pid_t task) {
    tasks_.insert(task);
    __ptrace_syscall_info info{};
    if (::ptrace(PTRACE_GET_SYSCALL_INFO, task, sizeof info, &info) <= 0) return false;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
      if (failing_.erase(task) != 0) change(task, &user_regs_struct::rax, -plan_.error);
      return true;
    }
    ++seen_;
    const auto number = static_cast<long>(info.entry.nr);
    if (plan_.mode == Mode::count) ::dprintf(plan_.report, "%ld\n", number);
    if (plan_.mode == Mode::kill && seen_ == plan_.number) {
      for (const pid_t each : tasks_) ::kill(each, SIGKILL);
      return false;
    }
    if ((plan_.mode == Mode::fail && seen_ == plan_.number) ||
        (plan_.mode == Mode::refuse && number == plan_.number)) {
      change(task, &user_regs_struct::orig_rax, -1);  // no such call: the kernel makes none
      failing_.insert(task);
    }
    return true;
  }

  static void change(pid_t task, unsigned long long user_regs_struct::*which, long value) {
    user_regs_struct registers{};
    if (::ptrace(PTRACE_GETREGS, task, nullptr, &registers) != 0) return;
    registers.*which = static_cast<unsigned long long>(value);
    ::ptrace(PTRACE_SETREGS, task, nullptr, &registers);
  }

  Plan plan_;
  std::set<pid_t> tasks_;
  std::set<pid_t> failing_;  // in a call that is not made
  bool started_ = false;     // the command's own code runs
  long seen_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  return Tracer(parse(argc, argv)).run();
}
