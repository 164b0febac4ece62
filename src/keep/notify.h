#pragma once

#include <string_view>

namespace claude_init::keep {

/// Tells the service manager that started us: sends `state` ("READY=1") as one datagram to `socket`, which is
/// $NOTIFY_SOCKET, a path or "@" and an abstract name (sd_notify(3)). Nothing if that is empty. One that
/// cannot be reached is logged: the manager then ends us when its own time is over.
void notify(std::string_view socket, std::string_view state);

}  // namespace claude_init::keep
