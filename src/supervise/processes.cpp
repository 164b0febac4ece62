#include "supervise/processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace claude_init::supervise {
namespace {

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

/// The first bytes of a file, as many as fit: enough of stat and status for what we look for.
std::string_view read_start(int directory_fd, const std::string& path, std::array<char, 2048>& buffer) {
  const UniqueFd fd(::openat(directory_fd, path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return {};
  const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
  return n > 0 ? std::string_view(buffer.data(), static_cast<std::size_t>(n)) : std::string_view{};
}

/// The number that `text` begins with, which is taken from it with the blank behind it.
pid_t take_number(std::string_view& text) {
  pid_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto length = static_cast<std::size_t>(end - text.data());
  text.remove_prefix(std::min(text.size(), length + 1));
  return value;
}

/// "PID (COMM) S PPID PGRP …"; COMM may hold blanks and parentheses: the last one ends it (proc(5)).
std::optional<Process> parse_stat(std::string_view text) {
  Process process;
  process.pid = take_number(text);
  const std::size_t after_name = text.rfind(')');
  if (after_name == std::string_view::npos || text.size() < after_name + 5) return std::nullopt;
  const char state = text[after_name + 2];
  process.dead = state == 'Z' || state == 'X';
  text.remove_prefix(after_name + 4);
  process.parent = take_number(text);
  process.group = take_number(text);
  return process;
}

/// Whether the numbers in this /proc are those of our PID namespace.
bool is_our_proc(int proc_fd) {
  std::array<char, 16> target{};
  const ssize_t n = ::readlinkat(proc_fd, "self", target.data(), target.size());
  return n > 0 && std::string_view(target.data(), static_cast<std::size_t>(n)) == std::to_string(::getpid());
}

/// Moves all that descend from `ancestor` out of `rest`. Generation by generation: `next` is the first of
/// those found whose children have not been looked for.
std::vector<Process> take_descendants(pid_t ancestor, std::vector<Process>& rest) {
  std::vector<Process> found;
  for (std::size_t next = 0;; ++next) {
    const auto children =
        std::partition(rest.begin(), rest.end(), [&](const Process& p) { return p.parent != ancestor; });
    found.insert(found.end(), children, rest.end());
    rest.erase(children, rest.end());
    if (next == found.size()) return found;
    ancestor = found[next].pid;
  }
}

}  // namespace

bool are_processes_visible() {
  const UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return proc.valid() && is_our_proc(proc.get());
}

std::vector<Process> all_processes() {
  std::vector<Process> found;
  const std::unique_ptr<DIR, CloseDirectory> proc(::opendir("/proc"));
  if (!proc || !is_our_proc(::dirfd(proc.get()))) return found;
  std::array<char, 2048> buffer{};
  while (const dirent* entry = ::readdir(proc.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const std::string path = std::string(entry->d_name) + "/stat";
    if (const auto process = parse_stat(read_start(::dirfd(proc.get()), path, buffer)))
      found.push_back(*process);
  }
  return found;
}

std::vector<Process> descendants(const std::vector<pid_t>& except) {
  std::vector<Process> all = all_processes();
  std::erase_if(
      all, [&](const Process& p) { return std::find(except.begin(), except.end(), p.pid) != except.end(); });
  std::vector<Process> family = take_descendants(::getpid(), all);
  std::erase_if(family, [](const Process& p) { return p.dead; });
  return family;
}

bool is_interactive_shell(pid_t pid) {
  std::array<char, 2048> buffer{};
  const std::string_view status = read_start(AT_FDCWD, "/proc/" + std::to_string(pid) + "/status", buffer);
  constexpr std::string_view kKey = "\nSigIgn:\t";
  const std::size_t at = status.find(kKey);
  if (at == std::string_view::npos) return false;
  unsigned long long ignored = 0;
  std::from_chars(status.data() + at + kKey.size(), status.data() + status.size(), ignored, 16);
  const auto has = [&](int number) { return (ignored >> (number - 1) & 1) != 0; };
  return has(SIGTSTP) && has(SIGTTOU);
}

void kill_descendants() {
  if (::getpid() == 1) {
    ::kill(-1, SIGKILL);
    return;
  }
  std::vector<Process> rest = all_processes();
  const std::vector<Process> family = take_descendants(::getpid(), rest);
  // Whose parent ended while we read /proc is in neither tree, and may well be ours: only the others are
  // strangers.
  const std::vector<Process> strangers = take_descendants(0, rest);
  for (const Process& process : family) {
    // A whole group at once leaves its members no moment to fork; but only a group without strangers.
    const bool shared = std::any_of(strangers.begin(), strangers.end(),
                                    [&](const Process& p) { return p.group == process.group; });
    if (!process.dead) ::kill(shared ? process.pid : -process.group, SIGKILL);
  }
}

}  // namespace claude_init::supervise
