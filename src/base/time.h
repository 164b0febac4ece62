#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace claude_init {

/// Milliseconds since 1970-01-01 UTC, as the CLI writes its deadlines (`expiresAt`).
using UnixMs = std::int64_t;
inline constexpr std::int64_t kMinute = 60'000;
inline constexpr std::int64_t kHour = 60 * kMinute;
inline constexpr std::int64_t kDay = 24 * kHour;
using Milliseconds = std::chrono::milliseconds;
using SteadyTime = std::chrono::steady_clock::time_point;

/// The wall clock now. Deadlines of a login are wall clock; intervals are measured with steady_clock.
[[nodiscard]] UnixMs unix_now();

[[nodiscard]] inline UnixMs unix_ms(const struct timespec& time) {
  return UnixMs{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}

/// "2026-11-23 21:12 UTC". Always UTC: containers seldom know the reader's time zone.
[[nodiscard]] std::string format_utc(UnixMs time);

/// "2026-11-23T21:12:10Z", for machines.
[[nodiscard]] std::string format_iso8601(UnixMs time);

/// Two units at the most: "27 d 3 h", "7 h 59 min", "4 min 10 s", "12 s". Negative durations without the
/// sign.
[[nodiscard]] std::string format_duration(std::int64_t milliseconds);

/// "5s", "500ms", "2m", "1h", "7d", a plain number in seconds, decimals allowed ("1.5s"). Error: usage.
[[nodiscard]] Result<Milliseconds> parse_duration(std::string_view text);

/// "1.2 ms", "3.4 s": how long something took since `start`.
[[nodiscard]] std::string took_since(SteadyTime start);

}  // namespace claude_init
