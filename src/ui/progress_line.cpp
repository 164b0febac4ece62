#include "ui/progress_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "base/output.h"
#include "base/text.h"

namespace claude_init::ui {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kShowAfter{1000};
constexpr Milliseconds kBetween{200};
// A terminal that takes nothing must not hold up the copying.
constexpr Milliseconds kNotAtAll{0};
constexpr std::string_view kClear = "\r\x1b[K";
constexpr std::size_t kUsualWidth = 80;

std::size_t terminal_width() {
  struct winsize size {};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

}  // namespace

std::string describe(const Progress& progress, const std::string& what, Milliseconds elapsed) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(elapsed.count(), 1));
  std::string text = fmt::format("{}: {} of {} files, {} of {}", what, progress.files, progress.files_planned,
                                 format_bytes(progress.bytes), format_bytes(progress.bytes_planned));
  if (progress.bytes > 0) text += fmt::format(", {}/s", format_bytes(progress.bytes * 1000 / ms));
  // By whichever takes longer: many small files cost more than their bytes.
  const auto share = [](std::uint64_t done, std::uint64_t planned) {
    return planned == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(planned);
  };
  const double done =
      std::min(share(progress.files, progress.files_planned), share(progress.bytes, progress.bytes_planned));
  if (done > 0 && done < 1) {
    const double left = static_cast<double>(ms) * (1 - done) / done;
    text += fmt::format(", {} left", format_duration(static_cast<std::int64_t>(left)));
  }
  return text;
}

ProgressLine::ProgressLine(std::string what, bool plain)
    : what_(std::move(what)),
      terminal_(!plain && ::isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      next_(start_ + kShowAfter) {}

ProgressLine::~ProgressLine() {
  if (shown_) write_to_reader(STDERR_FILENO, kClear, kBetween);
}

ProgressCallback ProgressLine::callback() {
  return [this](const Progress& progress) { show(progress); };
}

void ProgressLine::show(const Progress& progress) {
  const SteadyTime now = Clock::now();
  if (!terminal_ || now < next_) return;
  next_ = now + kBetween;
  std::string line = describe(progress, what_, std::chrono::duration_cast<Milliseconds>(now - start_));
  // A line that wraps could not be taken back.
  line.resize(std::min(line.size(), terminal_width() - 1));
  write_to_reader(STDERR_FILENO, std::string(kClear) + line, kNotAtAll);
  shown_ = true;
}

}  // namespace claude_init::ui
