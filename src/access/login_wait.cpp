#include "access/login_wait.h"

#include <fmt/format.h>
#include <signal.h>

#include <optional>

#include "access/health_context.h"
#include "fs/open.h"
#include "health/health.h"
#include "log/log.h"
#include "loop/file_watch.h"
#include "loop/inotify.h"
#include "options/options.h"
#include "store/inspect.h"
#include "store/layout.h"
#include "store/published.h"

namespace claude_init::access {
namespace {

constexpr Milliseconds kInterval{2000};  // between two looks where inotify cannot know

}  // namespace

/// 1. What has to come is watched from here on.
/// 2. It may be there already.
/// 3. Said once, and once more where a keeper cannot publish it.
/// 4. Looked at whenever it may have changed; by its owner's rights, as soon as there is one.
int await_login(const supervise::Loop& loop, const LoginWait& wait, const options::Environment& environment) {
  store::Inspection seen;
  bool changed = false;
  const auto check_now = [&] {
    changed = false;
    seen = store::inspect(wait.store, unix_now(), wait.how);
    wait.on_change(seen);
    return wait.can_be_used(seen);
  };
  loop::Inotify inotify(loop.io);
  std::optional<loop::FileWatch> watch;
  fs::Identity owner;  // whose rights the watch has
  const auto watch_as = [&](fs::Identity who) {
    owner = who;
    watch.emplace(loop.io, inotify,
                  loop::FileWatch::Options{wait.store, std::string(store::kCredentials), who, false,
                                           kInterval, [&changed] { changed = true; }});
    watch->start();
  };
  std::optional<loop::FileWatch> word;
  const auto watch_word = [&] {
    if (word || !seen.published) return;
    const std::string parent = fs::parent_of(wait.store);
    word.emplace(loop.io, inotify,
                 loop::FileWatch::Options{parent.empty() ? "/" : parent,
                                          fs::name_of(wait.store) + std::string(store::kWord), seen.owner,
                                          false, kInterval, [&changed] { changed = true; }});
    word->start();
  };
  const std::string at_most = wait.limit == options::kForever
                                  ? std::string()
                                  : fmt::format(", for {} at most", format_duration(wait.limit.count()));
  std::string told;  // of what a keeper has left
  const auto say = [&] {
    told = seen.unpublished;
    print_explanation(log::Level::warn, fmt::format("waiting for a login{}: ", at_most),
                      health::explain(seen, health_context(seen, environment)), environment);
  };
  // 1.
  seen = store::inspect(wait.store, unix_now(), wait.how);
  watch_as(seen.owner);
  watch_word();
  // 2.
  if (check_now()) return 0;
  // 3.
  say();
  // 4.
  Wait until;
  until.limit = wait.limit;
  until.renewer = wait.renewer;
  until.over = [&] {
    if (!changed) return false;
    if (check_now()) return true;
    watch_word();
    if (!seen.unpublished.empty() && told.empty()) say();
    if (seen.state == login::State::no_store || seen.owner == owner) return false;
    watch_as(seen.owner);
    return check_now();  // events of the watch before are lost
  };
  const int stopped = wait_until_over(loop, until);
  if (stopped == 0 && wait.can_be_used(seen)) {
    log::warn("a login has come: starting", {{"store", wait.store}});
  }
  return stopped;
}

}  // namespace claude_init::access
