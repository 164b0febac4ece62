#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "seal/seal.h"
#include "store/store.h"

/// Which store this is, and whether it is where it was made. A copy of a store holds the same refresh token,
/// so two that renew would log each other out: the copy has to be noticed.
///
/// STORE/.claude-init/id holds a random name of the store, the host that made it (in a container that is the
/// container's name; only people read it), and what the directory itself looked like then:
///
// clang-format off
/// | evidence                                          | survives                             | differs after                  |
/// |---------------------------------------------------|--------------------------------------|--------------------------------|
/// | inode number and birth time of the store's root;  | another container, path or bind      | cp -a, rsync, tar, a restored  |
/// | without a birth time (NFS) the file system's id   | mount, a reboot, chmod, chown, a     | backup, mv to another file     |
/// | if it has one                                     | volume attached to another machine   | system                         |
/// | change time of `locks/method`, which is written   | inode numbers that a file system     | the same; chown -R, chmod -R   |
/// | once and which no program can set                 | makes up anew (FUSE, SMB, 9p)        |                                |
// clang-format on
///
/// One of the two is enough: it is the same store. A container can rely on nothing else: its /etc/machine-id
/// may be missing, its own, or its host's.
///
/// Not noticed: a copy of a whole file system below its files (dd, a snapshot of a disk or of a virtual
/// machine that runs beside the original); mv within one file system, which leaves one store only; a copy on
/// a file system whose change time is the modification time (sshfs).
namespace claude_init::store {

inline constexpr const char* kIdentity = "id";  // in kPrivateDir

struct StoreId {
  std::string store;  // 32 hexadecimal digits
  std::string host;
  UnixMs since = 0;
  std::vector<std::string> before{};  // its names until it was taken over, sealed; the last one first
};

/// Gives the store its identity where it has none. Lock::acquire() does. Errors: read_only, permission,
/// no_space, io.
[[nodiscard]] Result<void> ensure_id(const Store& store);

/// Errors: not_found (the store was never written to), invalid, permission, io.
[[nodiscard]] Result<StoreId> read_id(const Store& store);

/// To be called before a renewal, which it forbids, and before a capture, which warns. A store
/// without an identity passes. Error usage: it was copied or moved here; what that means is the text, --adopt
/// the remedy. Others as read_id().
[[nodiscard]] Result<void> check_identity(const Store& store);

/// The names that what is sealed in it is bound to. Errors as read_id(); without them nothing sealed opens.
[[nodiscard]] Result<seal::Home> home_of(const Store& store);

/// Gives it another name, made here and now. Errors as ensure_id(), and those of looking at the place.
[[nodiscard]] Result<StoreId> replace_id(const Store& store);

}  // namespace claude_init::store
