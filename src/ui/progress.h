#pragma once

#include <cstdint>
#include <functional>

namespace claude_init::ui {

/// How far a capture or a restore has come. What is planned is known before the first file is copied.
struct Progress {
  std::uint64_t files = 0;  // done
  std::uint64_t files_planned = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_planned = 0;
};

/// Called between two files, from the thread that called capture() or restore(); it has to be quick.
using ProgressCallback = std::function<void(const Progress&)>;

}  // namespace claude_init::ui
