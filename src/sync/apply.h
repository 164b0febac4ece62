#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/journal.h"
#include "store/tree.h"

namespace claude_init::sync {

/// What of a journal could not be done because something foreign is in the way: a parent that is gone or was
/// swapped for a link, a mount, another kind of file. Trying again would not help.
struct Conflict {
  std::string path;
  int number = 0;  // errno
};

struct ApplyOptions {
  bool durable = true;  // the directories that changed are on the disk when it returns
  bool again = false;   // rolled forward: what is no longer staged is in its place already
};

/// Moves what is staged into place, deletes what is to be deleted and has not changed, and removes the
/// directories that are empty then, all beneath `to` and following no link. With the rights the caller has
/// taken. `stage` is -1 where there is none any more. May be cut off and called again at any point. An Error
/// is one that may pass: a full disk, a failing one.
[[nodiscard]] Result<std::vector<Conflict>> apply(const store::Tree& to, int stage,
                                                  const store::Journal& journal, const ApplyOptions& options);

/// syncfs(2).
[[nodiscard]] Result<void> sync_file_system(int fd, const std::string& path);

}  // namespace claude_init::sync
