#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/identity.h"
#include "login/login.h"
#include "login/merge.h"
#include "lock/lease.h"
#include "lock/lock_method.h"
#include "store/tree.h"

namespace claude_init::store {

struct StoreOptions;

/// The login of a store as a reader sees it. Changes nothing, takes no lock, contacts no one.
struct Inspection {
  login::State state = login::State::no_store;
  std::optional<login::Login> login;
  std::string email;  // of .claude.json, "" if unknown
  std::string path;   // the store
  // The server has rejected its refresh token: it works until the access token expires, and is dead then.
  bool renewal_rejected = false;
  bool renewal_burnt = false;  // that, since a renewal spent the refresh token and did not save the new one
  bool denied = true;       // unreadable: permission was denied, not something else
  bool is_for_now = false;  // unreadable: by an error of this moment (no descriptors, no memory, a device's)
  std::string barred_by;    // where `mode` is 0: the directory above that may not be entered, if it is known
  std::string problem;      // what is wrong, for a person; "" if usable
  std::string remedy;       // unreadable: what to do about it, where it is not the modes
  fs::Identity owner;       // of the store's root, where `mode` is not 0
  bool in_the_way = false;  // malformed: it is no login file, and no capture would replace it (a directory, a
                            // link that leads outside, larger than any)
  unsigned mode = 0;        // st_mode of the store's root; 0: it could not be looked at
  fs::Identity file_owner;  // of .credentials.json, where `file_mode` is not 0
  unsigned file_mode = 0;   // st_mode of .credentials.json; 0: it could not be looked at, or is not there
  UnixMs file_modified = 0;
  // The access token is said to live longer than any does, and neither a renewal of ours nor a person in a
  // setup session has made it: until when it works is not known.
  bool deadline_doubtful = false;
  std::vector<login::Other> other_logins;  // beside it
  bool open_to_all = false;  // the login can be read by everyone: its mode and those of all directories
                             // above it allow that
  bool read_only = false;    // the mount is read-only
  bool is_directory = true;  // false: a file was mounted instead
  bool published = false;    // from another store, in which people log in (published.h)
  std::string unpublished;   // what its keeper has left beside one without a login that can be used: why it
                             // cannot publish (published.h)
  bool empty_directory = false;  // nothing in it at all: the engine creates such a one, owned by root, when a
                                 // bind mount's source did not exist
};
[[nodiscard]] Inspection inspect(const std::string& path, UnixMs now, const StoreOptions& options);
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
  // Whose it has to be: for who opens it again and again by its path, in which somebody else may have put
  // another directory.
  std::optional<uid_t> owner{};
};

/// An opened store: a plain `.claude` tree with our `.claude-init/` in its root. Reading needs no more than
/// this: a full store, a published store and a Kubernetes Secret mount are the same to a reader.
class Store {
 public:
  /// `path` is fs::open_named()'s. Errors: not_found, permission, invalid (not a directory).
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

  /// Whether it has locks: a published one has none.
  enum class Locked { yes, no };
  /// Proves that a capture can succeed later: creates `.claude-init/` and its `locks/`, writes, syncs
  /// and removes a probe file, looks at the free space (`needed` bytes, and inodes where the file system
  /// counts them). Errors: read_only, permission, no_space, io; each with a remedy.
  [[nodiscard]] Result<void> prepare(std::uint64_t needed, Locked locked = Locked::yes);

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
