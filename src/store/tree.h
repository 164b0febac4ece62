#pragma once

#include <sys/types.h>

#include <string>

#include "fs/identity.h"

namespace claude_init::store {

class Pending;

/// A directory, where it is, and whose rights are used in it. Owns nothing.
struct Tree {
  int root = -1;
  std::string path;
  fs::Identity who;
  const Pending* pending = nullptr;  // read through this (store/snapshot.h)
};

/// Modes of what is made, whatever the source's were; setuid and setgid bits of files do not travel.
struct Modes {
  mode_t file = 0600;
  mode_t executable = 0700;
  mode_t directory = 0700;
};

}  // namespace claude_init::store
