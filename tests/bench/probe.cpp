// Measures a container init from outside. `init.py` runs it and makes the table.
//
//   probe spawn N COMMAND...          wall time of fork, exec and wait, microseconds, one a line
//   probe latency N INIT...|direct    signal sent to the init until its child has it, microseconds, one a line
//   probe reap N INIT...              N orphans that end at once: wall ms, most zombies at a time, CPU ms of the init
//   probe idle SECONDS INIT...        RSS kB, private dirty kB, CPU us/s, wakeups/s
//
// INIT runs as PID 1 of a PID namespace of its own, which needs root; what it runs is this program again.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

double now_us() {
  return std::chrono::duration<double, std::micro>(Clock::now().time_since_epoch()).count();
}

void sleep_ms(double ms) {
  std::this_thread::sleep_for(std::chrono::duration<double, std::milli>(ms));
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::string self() {
  char path[4096] = {};
  if (::readlink("/proc/self/exe", path, sizeof path - 1) < 0) fail("readlink");
  return path;
}

[[noreturn]] void execute(const Words& words) {
  std::vector<char*> argv;
  for (const auto& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  std::perror(argv[0]);
  ::_exit(127);
}

/// Starts `init extra...` as PID 1 of a new PID namespace. A process can make one such namespace only.
pid_t start(Words init, const Words& extra) {
  init.insert(init.end(), extra.begin(), extra.end());
  if (::unshare(CLONE_NEWPID) != 0) fail("unshare (root needed)");
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    ::setsid();
    execute(init);
  }
  return pid;
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

// --- what runs below the init ---

int latency_child(int out) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  for (double time = 0;; time = now_us()) {
    if (::write(out, &time, sizeof time) != sizeof time) return 1;
    int number = 0;
    sigwait(&signals, &number);
  }
}

/// Makes `count` orphans that wait for the pipe to close, says so, and stays.
int reap_child(int count, int gate, int ready, int counter) {
  auto* ended = static_cast<std::atomic<int>*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0));
  const pid_t maker = ::fork();
  if (maker == 0) {
    for (int i = 0; i < count; ++i) {
      pid_t orphan = 0;
      while ((orphan = ::fork()) < 0) sleep_ms(1);
      if (orphan == 0) {
        char byte = 0;
        while (::read(gate, &byte, 1) < 0 && errno == EINTR) {
        }
        ++*ended;
        ::_exit(0);
      }
    }
    ::_exit(0);
  }
  ::waitpid(maker, nullptr, 0);
  if (::write(ready, "r", 1) != 1) return 1;
  for (;;) ::pause();
}

// --- what measures ---

int children_of(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  int count = 0;
  for (std::string word; file >> word;) ++count;
  return count;
}

double cpu_us(pid_t pid) {
  double nanoseconds = 0;
  std::ifstream("/proc/" + std::to_string(pid) + "/schedstat") >> nanoseconds;
  return nanoseconds / 1000;
}

long field(pid_t pid, const char* file, const std::string& key) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/" + file);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(key + ":")) return std::atol(line.c_str() + key.size() + 1);
  }
  return -1;
}

int spawn(int count, const Words& command) {
  for (int i = 0; i < count; ++i) {
    const double before = now_us();
    const pid_t pid = ::fork();
    if (pid == 0) execute(command);
    ::waitpid(pid, nullptr, 0);
    std::printf("%.1f\n", now_us() - before);
  }
  return 0;
}

int latency(int count, const Words& init) {
  int pipe[2];
  if (::pipe(pipe) != 0) fail("pipe");
  const Words child{self(), "latency-child", std::to_string(pipe[1])};
  const pid_t pid = init[0] == "direct" ? start(child, {}) : start(init, child);
  double received = 0;
  if (::read(pipe[0], &received, sizeof received) != sizeof received) fail("the child did not start");
  sleep_ms(50);
  for (int i = 0; i < count; ++i) {
    const double sent = now_us();
    if (::kill(pid, SIGUSR1) != 0) fail("kill");
    if (::read(pipe[0], &received, sizeof received) != sizeof received) fail("read");
    std::printf("%.2f\n", received - sent);
    sleep_ms(0.3);
  }
  end(pid);
  return 0;
}

int reap(int count, const Words& init) {
  int gate[2];
  int ready[2];
  const int counter = ::memfd_create("ended", 0);
  if (::pipe(gate) != 0 || ::pipe(ready) != 0 || counter < 0 || ::ftruncate(counter, 4096) != 0) fail("pipe");
  ::fcntl(gate[1], F_SETFD, FD_CLOEXEC);
  auto* ended = static_cast<std::atomic<int>*>(
      ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0));
  const pid_t pid = start(init, {self(), "reap-child", std::to_string(count), std::to_string(gate[0]),
                                 std::to_string(ready[1]), std::to_string(counter)});
  char byte = 0;
  if (::read(ready[0], &byte, 1) != 1) fail("the orphans did not start");
  sleep_ms(200);
  const double begin = now_us();
  const double cpu = cpu_us(pid);
  ::close(gate[1]);
  int most = 0;
  for (;;) {
    const int left = children_of(pid) - 1;  // but the main child
    const int alive = count - ended->load();
    most = std::max(most, left - alive);
    if (left <= 0 && alive == 0) break;
    if (now_us() - begin > 120e6) fail("the orphans were not reaped within 120 s");
    sleep_ms(0.5);
  }
  std::printf("%.1f %d %.2f\n", (now_us() - begin) / 1000, most, (cpu_us(pid) - cpu) / 1000);
  end(pid);
  return 0;
}

int idle(int seconds, const Words& init) {
  const pid_t pid = start(init, {self(), "pause"});
  sleep_ms(1000);
  const double cpu = cpu_us(pid);
  const long wakeups = field(pid, "status", "voluntary_ctxt_switches");
  sleep_ms(seconds * 1000.0);
  std::printf("%ld %ld %.2f %.2f\n", field(pid, "smaps_rollup", "Rss"), field(pid, "smaps_rollup", "Private_Dirty"),
              (cpu_us(pid) - cpu) / seconds,
              static_cast<double>(field(pid, "status", "voluntary_ctxt_switches") - wakeups) / seconds);
  end(pid);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const Words words(argv + 1, argv + argc);
  if (words.empty()) return 2;
  if (words[0] == "pause") {
    for (;;) ::pause();
  }
  if (words.size() < 2) return 2;
  const int number = std::atoi(words[1].c_str());
  if (words[0] == "latency-child") return latency_child(number);
  if (words[0] == "reap-child" && words.size() == 5) {
    return reap_child(number, std::atoi(words[2].c_str()), std::atoi(words[3].c_str()), std::atoi(words[4].c_str()));
  }
  if (words.size() < 3) return 2;
  const Words rest(words.begin() + 2, words.end());
  if (words[0] == "spawn") return spawn(number, rest);
  if (words[0] == "latency") return latency(number, rest);
  if (words[0] == "reap") return reap(number, rest);
  if (words[0] == "idle") return idle(number, rest);
  return 2;
}
