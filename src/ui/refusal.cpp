#include "ui/refusal.h"

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
  console.remedy(error.remedy);
  return chosen;
}

}  // namespace claude_init::ui
