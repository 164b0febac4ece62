#pragma once

#include <functional>
#include <string>

#include "access/wait.h"
#include "base/time.h"
#include "options/environment.h"
#include "store/inspect.h"
#include "store/store.h"

namespace claude_init::access {

/// What --wait-login waits for.
struct LoginWait {
  std::string store;  // absolute; it need not be there yet
  Milliseconds limit = Milliseconds::max();
  std::function<bool(const store::Inspection&)> can_be_used;
  // The store may have another login; before `can_be_used`.
  std::function<void(const store::Inspection&)> on_change;
  std::function<renew::Renewer*()> renewer;  // as in Wait
  store::StoreOptions how{};                 // the store is opened
};

/// Waits on the loop until the store has a login that can be used, saying once what it waits for and what to
/// type, and once more when a keeper leaves word that it cannot publish there. It is told of changes
/// (loop/file_watch.h) and looks again and again only where it cannot be. Any signal that would end a
/// program ends the wait at once: returns that, else 0, also when the time is over.
[[nodiscard]] int await_login(const supervise::Loop& loop, const LoginWait& wait,
                              const options::Environment& environment);

}  // namespace claude_init::access
