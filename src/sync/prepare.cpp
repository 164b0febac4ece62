#include "sync/prepare.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <chrono>
#include <string>

#include "base/text.h"
#include "fs/file.h"
#include "fs/mounts.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "lock/lock_method.h"
#include "log/log.h"
#include "store/layout.h"
#include "ui/remedies.h"

namespace claude_init::sync {
namespace {

/// Why the store's owner, or we, may not write it, and what to type.
std::string how_to_allow_writing(const store::Store& store) {
  constexpr mode_t kOwnersAll = S_IRWXU;
  const bool in_container = fs::in_container();
  const fs::Identity owner = store.owner();
  if (!fs::ActAs(owner).effective()) {
    const fs::Identity ours = fs::current_identity();
    return "it belongs to uid " + std::to_string(owner.uid) + " and claude-init runs as uid " +
           std::to_string(ours.uid) + ": " + ui::how_to_give(store.path(), ours, in_container) +
           (in_container ? "; or " + ui::how_to_run_as(owner) : "");
  }
  struct stat st {};
  if (::fstat(store.fd(), &st) == 0 && (st.st_mode & kOwnersAll) != kOwnersAll) {
    return "its mode bars its owner: " + ui::how_to_open_modes(store.path(), in_container);
  }
  return "something in it is not its owner's, or its mode bars the owner: " +
         ui::how_to_give(store.path(), owner, in_container);
}

/// What a person can do about a store that cannot be written.
Error with_remedy(Error error, const store::Store& store) {
  error.what = printable(store.path()) + " cannot be written: " + error.what;
  switch (error.kind) {
    case ErrorKind::read_only:
      error.remedy = "mount it without \":ro\"";
      break;
    case ErrorKind::permission:
      if (error.remedy.empty()) error.remedy = how_to_allow_writing(store);
      break;
    case ErrorKind::no_space:
      error.remedy = "free some space there, or use another store";
      break;
    default:
      break;
  }
  return error;
}

Result<void> check_space(const store::Store& store, std::uint64_t needed) {
  constexpr fsfilcnt_t kInodes = 64;  // a session makes a few files; more cannot be known beforehand
  struct statvfs vfs {};
  if (::fstatvfs(store.fd(), &vfs) != 0) return system_error(errno, "look at the free space");
  const std::uint64_t available = static_cast<std::uint64_t>(vfs.f_bavail) * vfs.f_frsize;
  if (available < needed) {
    return system_error(ENOSPC,
                        format_bytes(needed) + " are needed and " + format_bytes(available) + " are free");
  }
  // Some file systems (btrfs) do not count inodes: 0 of 0.
  if (vfs.f_files != 0 && vfs.f_favail < kInodes) return system_error(ENOSPC, "no inodes are left");
  return Done{};
}

Result<void> probe(const store::Store& store, Locked locked) {
  const fs::ActAs as(store.owner());
  const store::Modes modes = store.modes();
  const auto own = fs::make_directory(store.fd(), std::string(store::kPrivateDir), modes.directory);
  if (!own) return own.error();
  if (locked == Locked::yes) {
    if (const auto locks = lock::open_locks(store); !locks) return locks.error();
  }
  constexpr const char* kProbe = "probe";
  if (auto written = fs::replace_file(own->get(), kProbe, "probe\n", modes.file, fs::Sync::yes); !written) {
    return written;
  }
  return fs::remove_tree(own->get(), kProbe);
}

}  // namespace

Result<void> prepare(const store::Store& store, std::uint64_t needed, Locked locked) {
  const auto start = std::chrono::steady_clock::now();
  if (const auto probed = probe(store, locked); !probed) return with_remedy(probed.error(), store);
  if (const auto space = check_space(store, needed); !space) return with_remedy(space.error(), store);
  log::debug("the store can be written", {{"path", store.path()}, {"took", took_since(start)}});
  return Done{};
}

}  // namespace claude_init::sync
