#include "base/time.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <limits>

namespace claude_init {
namespace {

std::tm broken_down(UnixMs time) {
  const std::time_t seconds = static_cast<std::time_t>(time >= 0 ? time / 1000 : (time - 999) / 1000);
  std::tm out{};
  gmtime_r(&seconds, &out);
  return out;
}

}  // namespace

UnixMs unix_now() {
  std::timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return unix_ms(now);
}

std::string format_utc(UnixMs time) {
  const std::tm t = broken_down(time);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} UTC", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
                     t.tm_hour, t.tm_min);
}

std::string format_iso8601(UnixMs time) {
  const std::tm t = broken_down(time);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
                     t.tm_hour, t.tm_min, t.tm_sec);
}

std::string format_duration(std::int64_t milliseconds) {
  // Through unsigned arithmetic: the most negative value has no positive counterpart.
  const std::uint64_t magnitude = milliseconds < 0 ? 0 - static_cast<std::uint64_t>(milliseconds)
                                                   : static_cast<std::uint64_t>(milliseconds);
  const std::uint64_t seconds = magnitude / 1000;
  struct Unit {
    std::uint64_t seconds;
    const char* name;
  };
  static constexpr std::array<Unit, 4> kUnits{{{86'400, "d"}, {3'600, "h"}, {60, "min"}, {1, "s"}}};
  for (std::size_t i = 0; i < kUnits.size(); ++i) {
    if (seconds < kUnits[i].seconds) continue;
    const std::uint64_t whole = seconds / kUnits[i].seconds;
    const bool smallest = i + 1 == kUnits.size();
    const std::uint64_t rest = smallest ? 0 : seconds % kUnits[i].seconds / kUnits[i + 1].seconds;
    if (rest == 0) return fmt::format("{} {}", whole, kUnits[i].name);
    return fmt::format("{} {} {} {}", whole, kUnits[i].name, rest, kUnits[i + 1].name);
  }
  return "0 s";
}

Result<Milliseconds> parse_duration(std::string_view text) {
  const auto bad = [&] {
    return make_error(ErrorKind::usage, fmt::format("'{}' is not a duration", text),
                      "write a number with a unit: 500ms, 5s, 2m, 1h, 7d");
  };
  double value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || !std::isfinite(value) || value < 0) return bad();
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s" || unit.empty()) factor = 1e3;
  if (unit == "m" || unit == "min") factor = 60e3;
  if (unit == "h") factor = 3600e3;
  if (unit == "d") factor = 86400e3;
  // A century is beyond any use and far from overflow.
  if (factor == 0 || value * factor > 100.0 * 366 * 86400e3) return bad();
  return Milliseconds(std::llround(value * factor));
}

std::string took_since(SteadyTime start) {
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  return ms < 1000 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.1f} s", ms / 1000);
}

}  // namespace claude_init
