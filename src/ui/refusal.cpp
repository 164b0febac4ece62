#include "ui/refusal.h"

#include "log/log.h"
#include "ui/exit_status.h"

namespace claude_init::ui {

int refuse(const Error& error, std::optional<int> status) {
  log::failure(log::Level::error, error);
  return status.value_or(exit_status_of(error));
}

int refuse(const Console& console, const Error& error, std::optional<int> status) {
  console.bad(error.message());
  if (!error.remedy.empty()) console.text(error.remedy);
  return status.value_or(exit_status_of(error));
}

}  // namespace claude_init::ui
