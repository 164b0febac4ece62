#pragma once

#include <string>

#include "base/time.h"
#include "ui/progress.h"

namespace claude_init::ui {

/// Shows how far a capture or a restore has come, on standard error, where that is a terminal and once it has
/// taken a second: files, bytes, rate and what is left, on one line that is gone in the end. Elsewhere
/// nothing: the log line at the end says how much it was and how long it took.
class ProgressLine {
 public:
  /// `what` is done: "capturing". `plain`: the terminal is dumb.
  ProgressLine(std::string what, bool plain);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// For CaptureOptions and RestoreOptions; not to be called after our end.
  [[nodiscard]] ProgressCallback callback();

 private:
  void show(const Progress& progress);

  std::string what_;
  bool terminal_;
  bool shown_ = false;
  SteadyTime start_;
  SteadyTime next_;  // not before then: people do not read faster
};

/// "capturing: 1200 of 10000 files, 12 MiB of 270 MiB, 6 MiB/s, 43 s left"
[[nodiscard]] std::string describe(const Progress& progress, const std::string& what, Milliseconds elapsed);

}  // namespace claude_init::ui
