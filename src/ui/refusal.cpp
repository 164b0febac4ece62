#include "ui/refusal.h"

#include <fmt/format.h>

#include "base/text.h"
#include "log/log.h"
#include "ui/exit_status.h"

namespace claude_init::ui {

int refuse(const Error& error, std::optional<int> status) {
  const int chosen = status.value_or(exit_status_of(error));
  log::failure(log::Level::error, error, name_of_exit_status(chosen));
  return chosen;
}

int refuse(const Console& console, const Error& error, std::optional<int> status) {
  const int chosen = status.value_or(exit_status_of(error));
  console.bad(error.message(), name_of_exit_status(chosen));
  for (const std::string_view line : lines_of(error.remedy)) console.text(fmt::format("→ {}", line));
  return chosen;
}

}  // namespace claude_init::ui
