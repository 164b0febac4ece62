#include "commands/login_wait.h"

#include <fmt/format.h>
#include <signal.h>

#include "commands/health_context.h"
#include "follow/file_watch.h"
#include "follow/inotify.h"
#include "health/health.h"
#include "log/log.h"
#include "options/options.h"
#include "store/layout.h"

namespace claude_init::commands {
namespace {

constexpr Milliseconds kInterval{2000};  // between two looks where inotify cannot know

}  // namespace

/// 1. What has to come is watched from here on.
/// 2. It may be there already.
/// 3. Said once.
/// 4. Looked at whenever it may have changed.
int await_login(const supervise::Loop& loop, const LoginWait& wait, const options::Environment& environment) {
  store::Inspection seen;
  bool changed = false;
  const auto look = [&] {
    changed = false;
    seen = store::inspect(wait.store, unix_now());
    wait.on_change(seen);
    return wait.can_be_used(seen);
  };
  // 1.
  seen = store::inspect(wait.store, unix_now());
  follow::Inotify inotify(loop.io);
  follow::FileWatch watch(loop.io, inotify,
                          {wait.store, std::string(store::kCredentials), seen.owner, false, kInterval,
                           [&changed] { changed = true; }});
  watch.start();
  // 2.
  if (look()) return 0;
  // 3.
  const std::string at_most = wait.limit == options::kForever
                                  ? std::string()
                                  : fmt::format(", for {} at most", format_duration(wait.limit.count()));
  tell(log::Level::warn, fmt::format("waiting for a login{}: ", at_most),
       health::explain(seen, health_context(seen, environment)), environment);
  // 4.
  Wait until;
  until.stop_signals = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  until.limit = wait.limit;
  until.renewer = wait.renewer;
  until.over = [&] { return changed && look(); };
  const int stopped = wait_until_over(loop, until);
  if (stopped == 0 && wait.can_be_used(seen)) {
    log::warn("a login has come: starting", {{"store", wait.store}});
  }
  return stopped;
}

}  // namespace claude_init::commands
