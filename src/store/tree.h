#pragma once

#include <sys/types.h>

#include <string>

#include "fs/identity.h"

namespace claude_init::store {

/// A directory, where it is, and whose rights are used in it. Does not own the descriptor.
struct Tree {
  int root = -1;
  std::string path;
  fs::Identity who;
};

/// Modes of what is made, whatever the source's were; setuid and setgid bits of files do not travel.
struct Modes {
  mode_t file = 0600;
  mode_t executable = 0700;
  mode_t directory = 0700;
};

}  // namespace claude_init::store
