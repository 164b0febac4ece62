#pragma once

#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "fs/identity.h"

/// Directories that a person named by a path, whose own links are followed: but root, who acts as the owner
/// of whatever it finds, must not be led by one person to what is another's.
namespace claude_init::fs {

/// The directory at `path` as a place to open things in (O_PATH). For root each link on the way has to belong
/// to root or to the owner of the directory that is reached: any other user could have made it lead
/// anywhere. Errors: not_found, permission (a link that may not be followed: `number` is 0, and a remedy).
[[nodiscard]] Result<UniqueFd> open_named(const std::string& path);

/// Makes the directory at `path`, if there is none, in one that open_named() reaches: as `who`, if that one
/// may, or else as the owner of the directory above, and given to `who` then, where that is allowed. A link
/// at the end is refused by the later open. Errors as open_named(), no_space, read_only.
[[nodiscard]] Result<void> make_named(const std::string& path, Identity who);

/// The same for the owner of the directory above, and for all that are missing on the way: mkdir -p, 0700.
/// `failed`: the one that could not be made.
[[nodiscard]] Result<void> make_all_named(const std::string& path, std::string* failed);

}  // namespace claude_init::fs
