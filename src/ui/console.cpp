#include "ui/console.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>

#include "base/output.h"
#include "base/result.h"
#include "base/text.h"
#include "log/log.h"
#include "log/redact.h"
#include "ui/exit_status.h"

namespace claude_init::ui {
namespace {

constexpr std::string_view kBold = "\x1b[1m";
constexpr std::string_view kGreen = "\x1b[32m";
constexpr std::string_view kYellow = "\x1b[33m";
constexpr std::string_view kRed = "\x1b[31m";
constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kReset = "\x1b[0m";

// What is said at the end is worth a moment, and no more: the engine's kill may be near.
constexpr Milliseconds kLastMoment{500};

/// Who has not read one line is not waited for at the next one.
void put(std::string_view text) {
  static bool reads = true;
  reads = write_to_reader(STDERR_FILENO, log::redact(text) + '\n', reads ? kLastMoment : Milliseconds(0));
}

}  // namespace

Console::Console(bool plain) : rich_(!plain && ::isatty(STDERR_FILENO) == 1) {}

void Console::write(std::string_view color, std::string_view mark, std::string_view line) const {
  if (rich_) {
    put(fmt::format("{}{}{} {}", color, mark, kReset, line));
  } else {
    put(line);
  }
}

void Console::blank() const {
  put("");
}
void Console::text(std::string_view line) const {
  put(fmt::format("  {}", line));
}
void Console::remedy(std::string_view lines) const {
  for (const std::string_view line : lines_of(lines)) text(fmt::format("→ {}", line));
}
void Console::title(std::string_view line) const {
  put(rich_ ? fmt::format("{}{}{}", kBold, line, kReset) : std::string(line));
}
void Console::good(std::string_view line) const {
  write(kGreen, "✔", line);
}
void Console::warning(std::string_view line) const {
  write(kYellow, "!", rich_ ? std::string(line) : fmt::format("claude-init: warning: {}", line));
}
void Console::bad(std::string_view line, std::string_view name) const {
  const std::string bracketed = name.empty() ? "" : fmt::format("[{}]", name);
  if (rich_) {
    write(kRed, "✖", bracketed.empty() ? std::string(line) : fmt::format("{} {}", bracketed, line));
  } else {
    write(kRed, "✖",
          fmt::format("claude-init: error{}{}: {}", bracketed.empty() ? "" : " ", bracketed, line));
  }
}
void Console::detail(std::string_view label, std::string_view value) const {
  put(rich_ ? fmt::format("  {}{:<8}{} {}", kDim, label, kReset, value)
            : fmt::format("  {:<8} {}", label, value));
}
void Console::command(std::string_view line) const {
  put(rich_ ? fmt::format("    {}{}{}", kBold, line, kReset) : fmt::format("    {}", line));
}

int print(std::string_view text) {
  const int failed = write_all(STDOUT_FILENO, text);
  if (failed == 0 || failed == EPIPE || failed == EBADF || failed == EINTR) return kExitOk;
  const Error error = system_error(failed, "write the output");
  const int status = exit_status_of(error);
  log::failure(log::Level::error, error, name_of_exit_status(status));
  return status;
}

}  // namespace claude_init::ui
