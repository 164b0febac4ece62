#include "commands/login_wait.h"

#include <fmt/format.h>
#include <signal.h>

#include <optional>

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
/// 4. Looked at whenever it may have changed; by its owner's rights, as soon as there is one.
int await_login(const supervise::Loop& loop, const LoginWait& wait, const options::Environment& environment) {
  store::Inspection seen;
  bool changed = false;
  const auto look = [&] {
    changed = false;
    seen = store::inspect(wait.store, unix_now());
    wait.on_change(seen);
    return wait.can_be_used(seen);
  };
  follow::Inotify inotify(loop.io);
  std::optional<follow::FileWatch> watch;
  fs::Identity owner;  // whose rights the watch has
  const auto watch_as = [&](fs::Identity who) {
    owner = who;
    watch.emplace(loop.io, inotify,
                  follow::FileWatch::Options{wait.store, std::string(store::kCredentials), who, false,
                                             kInterval, [&changed] { changed = true; }});
    watch->start();
  };
  // 1.
  seen = store::inspect(wait.store, unix_now());
  watch_as(seen.owner);
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
  until.limit = wait.limit;
  until.renewer = wait.renewer;
  until.over = [&] {
    if (!changed) return false;
    if (look()) return true;
    if (seen.state == login::State::no_store || seen.owner == owner) return false;
    watch_as(seen.owner);
    return look();  // what was told to the watch of before is lost
  };
  const int stopped = wait_until_over(loop, until);
  if (stopped == 0 && wait.can_be_used(seen)) {
    log::warn("a login has come: starting", {{"store", wait.store}});
  }
  return stopped;
}

}  // namespace claude_init::commands
