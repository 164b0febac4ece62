#pragma once

#include <boost/filesystem/path.hpp>
#include <string>

#include "base/result.h"
#include "fs/identity.h"
#include "lock/lock.h"
#include "options/environment.h"
#include "options/options.h"
#include "store/layout.h"
#include "store/store.h"

/// What the commands that write to a store and read from directories of a person's have in common.
namespace claude_init::access {

/// NO_COLOR, or a terminal that knows no escapes.
[[nodiscard]] bool is_plain(const options::Environment& environment);

/// mkdir -p, 0700: no other user may read what is created for a login.
[[nodiscard]] Result<void> create_directories(const std::string& path);

/// Opens a store to be written to: --store-owner and --store-mode are applied to what is in it where its
/// directory does not have them yet. Where the system refuses the owner it warns and changes nothing. Errors:
/// usage (no such user), not_found, permission, invalid.
[[nodiscard]] Result<store::Store> open_to_write(const std::string& path, const options::Storing& storing,
                                                 const options::Environment& environment);

/// Nothing is put into a published store by hand. Error: invalid.
[[nodiscard]] Result<void> check_not_published(const store::Store& store);

/// --adopt, or a warning if the store is a copy. Under the "store" lock.
[[nodiscard]] Result<void> settle_identity(const store::Store& store, const options::Storing& storing,
                                           const lock::Lock& lock);

/// Whether `inner` is `outer` or lies in it, by their words alone.
[[nodiscard]] bool is_within(const boost::filesystem::path& inner, const boost::filesystem::path& outer);

/// A directory that a person named.
struct Directory {
  std::string path;    // absolute
  fs::Identity owner;  // of the directory; of its parent where it is not there yet
  bool exists = false;
};
/// `option` is its name for errors, all of kind usage: not there (nor its parent), not a directory, or the
/// same as the store or within it or around it.
[[nodiscard]] Result<Directory> named_directory(const std::string& option, const std::string& text,
                                                const std::string& store);

/// Where the state of a configuration directory lies: its `.claude.json` is inside if there is one, as with
/// CLAUDE_CONFIG_DIR and in a copy; else beside it, if it is called `.claude` as in a home directory.
[[nodiscard]] store::StatePaths state_in(const std::string& directory);

}  // namespace claude_init::access
