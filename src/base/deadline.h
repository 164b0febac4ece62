#pragma once

#include <functional>
#include <utility>

#include "base/time.h"

namespace claude_init {

/// When to stop working: asked between small pieces of work (files, a few MiB). A time, or a condition that
/// whoever gave it may have come true sooner than was thought when the work began.
class Deadline {
 public:
  Deadline() = default;                       // never
  Deadline(SteadyTime time) : time_(time) {}  // NOLINT: a time is one
  explicit Deadline(std::function<bool()> has_come) : has_come_(std::move(has_come)) {}  // asked often

  [[nodiscard]] bool has_come() const {
    if (has_come_) return has_come_();
    return time_ != SteadyTime::max() && std::chrono::steady_clock::now() >= time_;
  }

 private:
  SteadyTime time_ = SteadyTime::max();
  std::function<bool()> has_come_;
};

}  // namespace claude_init
