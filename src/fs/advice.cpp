#include "fs/advice.h"

#include <fmt/format.h>

namespace claude_init::fs {

std::string how_to_run_as(Identity who) {
  return fmt::format("run as uid {0}: docker run --user {0}:{1}", who.uid, who.gid);
}

std::string how_to_become(Identity who) {
  // KILL is not needed to become somebody, but to stop what runs as somebody else then.
  return "root without capabilities has no more rights than others: --cap-add SETUID --cap-add SETGID "
         "--cap-add KILL; or " +
         how_to_run_as(who);
}

}  // namespace claude_init::fs
