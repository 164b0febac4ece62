#include "workcopy/place.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <limits>
#include <optional>

#include "base/text.h"
#include "fs/newer_calls.h"

namespace claude_init::workcopy {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

UniqueFd open_directory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/// What CLAUDE_CONFIG_DIR will say must hold in any working directory. A path that is not there stays as it
/// is.
std::string absolute(const std::string& path) {
  std::array<char, PATH_MAX> resolved{};
  return ::realpath(path.c_str(), resolved.data()) != nullptr ? std::string(resolved.data()) : path;
}

bool in_memory(int fd) {
  struct statfs fs {};
  return ::fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/// The start of a small file of the kernel's; "" if it cannot be read.
std::string read_start(const char* path) {
  const UniqueFd fd(::open(path, O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer{};
  const ssize_t n = fd.valid() ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
  return n > 0 ? std::string(buffer.data(), static_cast<std::size_t>(n)) : std::string();
}

/// The number after the blanks at the start of `text`; "max" and what is no number are none.
std::optional<std::uint64_t> leading_number(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
  std::uint64_t value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{}) return std::nullopt;
  return value;
}

/// The number behind the first `key` that begins a line of `text`.
std::optional<std::uint64_t> number_behind(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    if (at == 0 || text[at - 1] == '\n') return leading_number(text.substr(at + key.size()));
  }
  return std::nullopt;
}

std::uint64_t machine_memory_left() {
  const auto kibibytes = number_behind(read_start("/proc/meminfo"), "MemAvailable:");
  return kibibytes ? *kibibytes * 1024 : kUnlimited;
}

/// The files of a control group as a container sees it, at the root of its cgroup mount. Outside containers
/// that is the machine's root group, which has no limit.
struct GroupFiles {
  const char* limit;
  const char* usage;
  const char* statistics;
  const char* reclaimable;  // the line in them that counts what the kernel drops when memory is wanted
};
constexpr GroupFiles kVersion1{"/sys/fs/cgroup/memory/memory.limit_in_bytes",
                               "/sys/fs/cgroup/memory/memory.usage_in_bytes",
                               "/sys/fs/cgroup/memory/memory.stat", "total_inactive_file "};
constexpr GroupFiles kVersion2{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current",
                               "/sys/fs/cgroup/memory.stat", "inactive_file "};

std::uint64_t group_memory_left(const GroupFiles& files) {
  const auto limit = leading_number(read_start(files.limit));
  if (!limit) return kUnlimited;
  const std::uint64_t usage = leading_number(read_start(files.usage)).value_or(0);
  // Page cache counts as used: in a container that has run for a while usage is near the limit because of it.
  const std::uint64_t cache = number_behind(read_start(files.statistics), files.reclaimable).value_or(0);
  const std::uint64_t needed = usage - std::min(usage, cache);
  return *limit - std::min(*limit, needed);
}

std::uint64_t one_and_a_half(std::uint64_t bytes) {
  return bytes > kUnlimited / 2 ? kUnlimited : bytes + bytes / 2;
}

}  // namespace

std::uint64_t memory_left() {
  return std::min({machine_memory_left(), group_memory_left(kVersion2), group_memory_left(kVersion1)});
}

std::vector<std::string> candidates(const Places& places, const user::Account& target) {
  if (!places.chosen.empty()) return {absolute(places.chosen)};
  std::vector<std::string> paths;
  for (const std::string& path :
       {places.runtime_dir, std::string("/run"), std::string("/tmp"), target.home}) {
    const bool usable = path.starts_with('/') && path != "/";
    if (usable && std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  }
  std::stable_partition(paths.begin(), paths.end(), [](const std::string& path) {
    const UniqueFd fd = open_directory(path);
    return fd.valid() && in_memory(fd.get());
  });
  return paths;
}

Result<UniqueFd> open_place(const std::string& path, const Demand& demand, Fit fit) {
  const auto refuse = [&](ErrorKind kind, const std::string& why) {
    return make_error(kind, printable(path) + ": " + why);
  };
  UniqueFd fd = open_directory(path);
  struct statvfs fs {};
  if (!fd.valid() || ::fstatvfs(fd.get(), &fs) != 0) return system_error(errno, printable(path));
  if (const int error = fs::access_by_rights(fd.get(), ".", W_OK | X_OK); error != 0)
    return system_error(error, printable(path));
  const bool comfortable = fit == Fit::comfortable;
  if (comfortable && demand.exec && (fs.f_flag & ST_NOEXEC) != 0) {
    return refuse(ErrorKind::invalid, "is mounted noexec, and the state has programs in it");
  }
  const std::uint64_t needed = comfortable ? one_and_a_half(demand.bytes) : demand.bytes;
  // A file system without a size (a tmpfs mounted with size=0) has no limit of its own.
  const std::uint64_t free = fs.f_blocks == 0 ? kUnlimited : std::uint64_t{fs.f_bavail} * fs.f_frsize;
  if (free < needed) {
    return refuse(ErrorKind::no_space,
                  fmt::format("has {} free and {} are needed", format_bytes(free), format_bytes(needed)));
  }
  if (in_memory(fd.get()) && memory_left() / (comfortable ? 2 : 1) < demand.bytes) {
    return refuse(ErrorKind::no_space,
                  fmt::format("is in memory, and {} would take more than {} is left",
                              format_bytes(demand.bytes), comfortable ? "half of what" : "what"));
  }
  return fd;
}

bool is_noexec(int directory) {
  struct statvfs fs {};
  return ::fstatvfs(directory, &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0;
}

}  // namespace claude_init::workcopy
