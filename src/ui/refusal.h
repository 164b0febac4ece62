#pragma once

#include <optional>

#include "base/result.h"
#include "ui/console.h"

/// How a command says that it cannot go on: the error with its remedy. Returns the exit status: `status`, or
/// the one that the error has (ui/exit_status.h).
namespace claude_init::ui {

/// In the log, for what runs unattended.
int refuse(const Error& error, std::optional<int> status = std::nullopt);
/// To a person.
int refuse(const Console& console, const Error& error, std::optional<int> status = std::nullopt);

}  // namespace claude_init::ui
