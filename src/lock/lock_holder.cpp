#include "lock/lock_holder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/file.h"

namespace claude_init::lock {
namespace {

constexpr std::size_t kMostLocks = std::size_t{4} << 20;  // bytes of /proc/locks

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

std::string read_proc(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return {};
  auto text = fs::read_all(fd.get(), kMostLocks, path);
  return text ? std::move(*text) : std::string();
}

/// "python3 (pid 17, uid 1000)"
std::string name_process(pid_t pid) {
  const std::string directory = fmt::format("/proc/{}", pid);
  std::string name = read_proc(directory + "/comm");
  if (name.ends_with('\n')) name.pop_back();
  struct stat st {};
  if (name.empty() || ::stat(directory.c_str(), &st) != 0)
    return fmt::format("what process {} has left behind (it has ended itself)", pid);
  return fmt::format("{} (pid {}, uid {})", printable(name), pid, st.st_uid);
}

std::string name_processes(const std::vector<pid_t>& pids) {
  constexpr std::size_t kMost = 3;
  std::string names;
  for (std::size_t i = 0; i < std::min(pids.size(), kMost); ++i)
    names += (i == 0 ? "" : ", ") + name_process(pids[i]);
  return names;
}

}  // namespace

std::string Holder::describe(UnixMs now) const {
  return fmt::format("{} on host {} (pid {}, for {})", printable(purpose), printable(host), pid,
                     format_duration(static_cast<std::int64_t>(static_cast<std::uint64_t>(now) -
                                                               static_cast<std::uint64_t>(since))));
}

std::string write_holder(std::string_view purpose) {
  return fmt::format("{}\n{}\n{}\n{}\n", host_name(), ::getpid(), purpose, unix_now());
}

Holder parse_holder(std::string_view text) {
  Holder holder;
  holder.host = take_until(text, '\n');
  const std::string_view pid = take_until(text, '\n');
  holder.purpose = take_until(text, '\n');
  const std::string_view since = take_until(text, '\n');
  static_cast<void>(read_number(pid, holder.pid));
  static_cast<void>(read_number(since, holder.since));
  if (holder.host.empty()) holder.host = "unknown";
  if (holder.purpose.empty()) holder.purpose = "unknown";
  return holder;
}

/// NUMBER: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE START END. One that waits has "->" behind its number.
/// Some file systems (btrfs) show another device in stat(2) than in here: there the inode has to do.
std::vector<pid_t> lock_holders(std::string_view text, std::string_view kind, const struct stat& file) {
  const std::string device = fmt::format("{:02x}:{:02x}", ::major(file.st_dev), ::minor(file.st_dev));
  const std::string inode = fmt::format(":{}", file.st_ino);
  std::vector<pid_t> same;
  std::vector<pid_t> similar;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    next_word(line);
    if (next_word(line) != kind) continue;
    next_word(line);
    next_word(line);
    const std::string_view number = next_word(line);
    const std::string_view where = next_word(line);
    pid_t pid = 0;
    if (!read_number(number, pid) || pid <= 0 || !where.ends_with(inode)) continue;
    (where == device + inode ? same : similar).push_back(pid);
  }
  return same.empty() ? similar : same;
}

std::string name_flock_holder(int fd, const Holder& claim, UnixMs now) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return "an unknown process";
  const std::vector<pid_t> holders = lock_holders(read_proc("/proc/locks"), "FLOCK", st);
  if (holders.empty()) {
    return fmt::format(
        "a process that is not to be seen from here, as in another container; it may be {}. On the host, the "
        "line of /proc/locks with :{} names it",
        claim.describe(now), st.st_ino);
  }
  if (holders.size() == 1 && holders.front() == claim.pid && claim.host == host_name())
    return claim.describe(now);
  return name_processes(holders);
}

Error explain_lease(const Error& error, int directory, const std::string& name) {
  if (error.number != EWOULDBLOCK) return error;
  struct stat st {};
  if (::fstatat(directory, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return error;
  const std::vector<pid_t> holders = lock_holders(read_proc("/proc/locks"), "LEASE", st);
  return make_error(
      ErrorKind::busy,
      "another process has a lease on " + printable(name) + ": " +
          (holders.empty() ? "a process that is not to be seen from here" : name_processes(holders)),
      "end that one first, or wait for it");
}

}  // namespace claude_init::lock
