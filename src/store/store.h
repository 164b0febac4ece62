#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/identity.h"
#include "seal/seal.h"
#include "store/lock_options.h"
#include "store/tree.h"

namespace claude_init::store {

/// The modes of what is made in a store.
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
  // --seal-key: the login is sealed with it, and read with it (store/sealed.h).
  std::shared_ptr<const seal::Seal> seal{};
};

/// An opened store: a plain `.claude` tree with our `.claude-init/` in its root. Reading needs no more than
/// this: a full store, a published store and a Kubernetes Secret mount are the same to a reader.
class Store {
 public:
  /// `path` is fs::open_named()'s. Errors: not_found, permission, invalid (not a directory).
  [[nodiscard]] static Result<Store> open(const std::string& path, const StoreOptions& options = {});

  /// A directory in it as a store of its own, with the same owner; what is sealed there is bound to this one.
  /// No link is followed. Errors: not_found, permission.
  [[nodiscard]] Result<Store> open_inside(const std::string& relative_path) const;

  [[nodiscard]] int fd() const { return root_.get(); }
  /// The root of the store whose name is that of what is sealed here: its own, or of the one it lies in.
  [[nodiscard]] int home() const { return home_.valid() ? home_.get() : root_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }
  /// The owner of the root, whose rights are used inside; ourselves where that is the overflow uid.
  [[nodiscard]] fs::Identity owner() const { return owner_; }
  [[nodiscard]] const StoreOptions& options() const { return options_; }
  /// Files 0640 and directories 2750 with the root's group instead of 0600, 0700.
  [[nodiscard]] bool group_readable() const { return group_readable_; }

  [[nodiscard]] Tree tree() const { return {fd(), path_, owner_}; }
  [[nodiscard]] Modes modes() const { return group_readable_ ? Modes{0640, 0750, 02750} : Modes{}; }

 private:
  UniqueFd root_;
  UniqueFd home_;  // of one that lies in another
  std::string path_;
  StoreOptions options_;
  fs::Identity owner_;
  bool group_readable_ = false;
};

/// Whose rights the store at `path` is used with; ourselves where it cannot be opened (yet).
[[nodiscard]] fs::Identity owner_of(const std::string& path);

}  // namespace claude_init::store
