#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <ctime>
#include <string>
#include <string_view>

/// What it costs to read a text grows with its length and no faster. Measured in processor time of this thread,
/// so that a busy machine does not count.
namespace claude_init::fuzz {

inline double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

/// Aborts if eight times as much of the same costs more than 32 times as much, where linear work costs eight times
/// and quadratic work 64 times as much. `make` makes a text of about that many bytes, `read` reads it.
template <class Make, class Read>
void require_linear(Make make, Read read) {
  constexpr std::size_t kSmall = 16 << 10;
  constexpr double kAtLeast = 0.0005;  // what a clock's tick and a page fault are nothing to
  const auto cost = [&](std::size_t bytes) {
    const std::string text = make(bytes);
    double best = 1e9;
    for (int i = 0; i < 3; ++i) {
      const double start = processor_seconds();
      read(std::string_view(text));
      best = std::min(best, processor_seconds() - start);
    }
    return best;
  };
  if (cost(8 * kSmall) > 32 * std::max(cost(kSmall), kAtLeast)) std::abort();
}

/// `piece` again and again, with something between: "A,A,A".
inline std::string repeated(std::string_view piece, std::string_view between, std::size_t bytes) {
  std::string text(piece);
  while (text.size() < bytes) text.append(between).append(piece);
  return text;
}

/// Whether it is this input's turn: measuring takes longer than all else.
inline bool now_and_then() {
  constexpr unsigned kEach = 64;
  static unsigned inputs = 0;
  return inputs++ % kEach == 0;
}

}  // namespace claude_init::fuzz
