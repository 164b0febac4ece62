#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/identity.h"
#include "login/login.h"
#include "store/lease.h"
#include "store/locking.h"
#include "store/tree.h"

namespace claude_init::store {

/// The login of a store as a reader sees it. Changes nothing, takes no lock, contacts no one.
struct Inspection {
  login::State state = login::State::no_store;
  std::optional<login::Login> login;
  std::string email;  // of .claude.json, "" if unknown
  std::string path;   // the store
  // The server has rejected its refresh token: it works until the access token expires, and is dead then.
  bool renewal_rejected = false;
  bool denied = true;       // unreadable: permission was denied, not something else
  bool is_for_now = false;  // unreadable: by an error of this moment (no descriptors, no memory, a device's)
  std::string barred_by;    // where `mode` is 0: the directory above that may not be entered, if it is known
  std::string problem;      // what is wrong, for a person; "" if usable
  fs::Identity owner;       // of the store's root, where `mode` is not 0
  bool in_the_way = false;  // malformed: it is no login file, and no capture would replace it (a directory, a
                            // link that leads outside, larger than any)
  unsigned mode = 0;        // st_mode of the store's root; 0: it could not be looked at
  fs::Identity file_owner;  // of .credentials.json, where `file_mode` is not 0
  unsigned file_mode = 0;   // st_mode of .credentials.json; 0: it could not be looked at, or is not there
  UnixMs file_modified = 0;
  bool open_to_all = false;      // the login can be read by everyone: its mode and those of all directories
                                 // above it allow that
  bool read_only = false;        // the mount is read-only
  bool is_directory = true;      // false: a file was mounted instead
  bool published = false;        // from another store, in which people log in (published.h)
  bool empty_directory = false;  // nothing in it at all: the engine creates such a one, owned by root, when a
                                 // bind mount's source did not exist
};
[[nodiscard]] Inspection inspect(const std::string& path, UnixMs now);

/// Why the store cannot be written by us; "" where it can. Writes nothing.
[[nodiscard]] std::string why_not_writable(const Inspection& inspection);

/// Who may read what is made in a store.
enum class Access {
  automatic,     // group where the root is setgid (Kubernetes' fsGroup), else private
  private_only,  // 0600 and 0700
  group,         // 0640 and 2750, with the root's group
};

struct StoreOptions {
  Access access = Access::automatic;
  Locking locking = Locking::automatic;
  LeaseTimes lease{};
  bool adopt = false;  // --adopt: a locking method other than the recorded one is no error
};

/// An opened store: a plain `.claude` tree with our `.claude-init/` in its root. Reading needs no more than
/// this: a full store, a published store and a Kubernetes Secret mount are the same to a reader.
class Store {
 public:
  /// Errors: not_found, permission, invalid (not a directory).
  [[nodiscard]] static Result<Store> open(const std::string& path, const StoreOptions& options = {});

  /// A directory in it as a store of its own, with the same owner. No link is followed. Errors: not_found,
  /// permission.
  [[nodiscard]] Result<Store> open_inside(const std::string& relative_path) const;

  [[nodiscard]] int fd() const { return root_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The owner of the root, whose rights are used inside; ourselves where that is the overflow uid.
  [[nodiscard]] fs::Identity owner() const { return owner_; }
  [[nodiscard]] const StoreOptions& options() const { return options_; }
  /// Files 0640 and directories 2750 with the root's group instead of 0600, 0700.
  [[nodiscard]] bool group_readable() const { return group_readable_; }

  [[nodiscard]] Tree tree() const { return {fd(), path_, owner_}; }
  [[nodiscard]] Modes modes() const { return group_readable_ ? Modes{0640, 0750, 02750} : Modes{}; }

  /// Proves that a capture can succeed later: creates `.claude-init/` and its `locks/`, writes, syncs
  /// and removes a probe file, looks at the free space (`needed` bytes, and inodes where the file system
  /// counts them). Errors: read_only, permission, no_space, io; each with a remedy.
  [[nodiscard]] Result<void> prepare(std::uint64_t needed);

 private:
  UniqueFd root_;
  std::string path_;
  StoreOptions options_;
  fs::Identity owner_;
  bool group_readable_ = false;
};

/// Whose rights the store at `path` is used with; ourselves where it cannot be opened (yet).
[[nodiscard]] fs::Identity owner_of(const std::string& path);

}  // namespace claude_init::store
