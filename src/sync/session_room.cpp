#include "sync/session_room.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "fs/identity.h"
#include "fs/open.h"

namespace claude_init::sync {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kReservedBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kReservedFiles = 1000;
constexpr std::uint64_t kReservedPart = 8;

std::uint64_t beside(std::uint64_t free, std::uint64_t reserve) {
  return free > reserve ? free - reserve : 0;
}

}  // namespace

Result<SessionRoom> SessionRoom::find(const store::Tree& to, const store::Filter& filter, std::uint64_t quota,
                                      const Deadline& deadline) {
  SessionRoom room(to);
  room.quota_ = quota;
  room.free_ = room.free_files_ = kMost;
  {
    const fs::ActAs as(to.who);
    struct statvfs st {};
    const bool known = ::fstatvfs(to.root, &st) == 0;
    if (known && st.f_blocks > 0) {
      room.reserve_ = std::min<std::uint64_t>(kReservedBytes, st.f_blocks * st.f_frsize / kReservedPart);
      room.free_ = beside(st.f_bavail * st.f_frsize, room.reserve_);
    }
    // Some file systems make inodes as they are needed, and count none.
    if (known && st.f_files > 0)
      room.free_files_ =
          beside(st.f_favail, std::min<std::uint64_t>(kReservedFiles, st.f_files / kReservedPart));
  }
  if (quota == kMost) return room;
  ScanOptions sessions{filter, store::Extent::sessions};
  sessions.deadline = deadline;
  const auto there = make_plan(to, nullptr, sessions);
  if (!there) return there.error();
  room.kept_ = there->bytes + (there->files + there->directories.size()) * kOverhead;
  return room;
}

Result<void> SessionRoom::take(const Plan& plan) {
  const fs::ActAs as(to_.who);
  std::uint64_t kept = 0;
  std::uint64_t written = 0;
  std::uint64_t files = 0;
  for (const PlannedDirectory& directory : plan.directories) {
    const auto place = fs::open_beneath(to_.root, directory.path, O_PATH | O_DIRECTORY, fs::Links::refuse);
    kept += directory.is_new ? kOverhead : 0;
    files += directory.is_new ? 1 : 0;
    for (const PlannedEntry& entry : directory.entries) {
      struct stat st {};
      const bool replaces = entry.replaces && place &&
                            ::fstatat(place->get(), entry.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
      kept +=
          replaces ? beside(entry.bytes, static_cast<std::uint64_t>(st.st_size)) : entry.bytes + kOverhead;
      written += entry.bytes + kOverhead;
      files += replaces ? 0 : 1;
    }
  }
  return take(kept, written, files);
}

Result<void> SessionRoom::take(std::uint64_t bytes) {
  return take(bytes + kOverhead, bytes + kOverhead, 1);
}

Result<void> SessionRoom::take(std::uint64_t kept, std::uint64_t written, std::uint64_t files) {
  if (written > free_) {
    return make_error(
        ErrorKind::no_space,
        fmt::format("{} has {} for sessions, they take {}, and {} stay free for the login",
                    printable(to_.path), format_bytes(free_), format_bytes(written), format_bytes(reserve_)),
        "make room there");
  }
  if (files > free_files_) {
    return make_error(
        ErrorKind::no_space,
        fmt::format("{} has inodes for {} files of sessions, and they are {}; some stay free for "
                    "the login",
                    printable(to_.path), free_files_, files),
        "delete files there");
  }
  if (kept > 0 && (kept_ > quota_ || kept > quota_ - kept_)) {
    return make_error(
        ErrorKind::limit,
        fmt::format("the sessions in {} take {}, and with {} more they would take more than {}",
                    printable(to_.path), format_bytes(kept_), format_bytes(kept), format_bytes(quota_)),
        remedy());
  }
  free_ -= written;
  free_files_ -= files;
  kept_ += kept;
  return Done{};
}

std::string SessionRoom::remedy() {
  return "delete old ones (projects/), or allow more: --max-sessions SIZE (CLAUDE_INIT_MAX_SESSIONS=SIZE)";
}

}  // namespace claude_init::sync
