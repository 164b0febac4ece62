#pragma once

#include <string_view>

#include "sync/capture.h"
#include "ui/console.h"

/// What a capture has saved, for the person in front of it; setup/report has the rest of a session.
namespace claude_init::access {

/// What is in the store cannot be read, and so no login takes its place.
inline constexpr std::string_view kHowToMakeRoom = "Move that file away, or let the store's owner read it";

/// Prints everything but the login. The status for what an error has prevented from being saved; kExitOk where
/// there is no such.
int report_files(const ui::Console& console, const sync::CaptureReport& report);

}  // namespace claude_init::access
