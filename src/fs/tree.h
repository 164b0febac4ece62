#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"

namespace claude_init::fs {

struct Entry {
  std::string name;  // raw bytes
  struct stat st {};
  int error = 0;  // errno where it could not be looked at; `st` is then empty
};

/// The entries of an open directory without "." and "..", in no order. What disappears meanwhile is not among
/// them. The deadline is asked every few thousand. Error limit: there are more than `limit`, or it has come.
[[nodiscard]] Result<std::vector<Entry>> list_directory(int directory, std::size_t limit,
                                                        const Deadline& deadline = {});

/// Their names only, in no order: nothing is looked at.
[[nodiscard]] Result<std::vector<std::string>> list_names(int directory);

/// How many they are.
[[nodiscard]] Result<std::size_t> count_names(int directory);

/// Removes `name` (one component) in `parent`, with everything in it if it is a directory. Links are removed,
/// never followed; a tree that is deeper than we have descriptors for is brought up piece by piece; a
/// directory that its owner made unwritable is made writable. It not being there is no error. The deadline is
/// asked every few files; error limit: it has come, and some of them are still there.
[[nodiscard]] Result<void> remove_tree(int parent, const std::string& name, const Deadline& deadline = {});

}  // namespace claude_init::fs
