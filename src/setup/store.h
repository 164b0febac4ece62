#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "options/environment.h"
#include "options/options.h"
#include "store/inspect.h"
#include "store/store.h"
#include "ui/console.h"
#include "user/account.h"

namespace claude_init::setup {

/// The store of a setup session, found to be fit for it before anybody logs in.
struct FoundStore {
  store::Store store;
  bool in_container = false;
  std::string host_side;  // what stands left of the colon in -v, as far as it is known here
  std::string seal_key;   // the key's file as we see it, "" without one
  bool at_home = false;   // it is mounted at ~/.claude itself: the session then works on a copy
  bool deployed = false;  // by Compose, in a cluster or by a script (CLAUDE_INIT_LOGIN_COMMAND): nobody types
                          // docker run
  bool read_only = false;  // only where it is at ~/.claude: the session runs, and nothing is captured
};

/// Finds the store and proves that the login can be kept in it: it exists (on the host it is created), it is
/// a mount (in a container), it can be written and has room. Warns on the console about a store that goes
/// with the container. Errors carry what to type.
[[nodiscard]] Result<FoundStore> open_setup_store(const options::Setup& options,
                                                  const options::Environment& environment,
                                                  const user::Account& account, const ui::Console& console);

/// Why a new login could not take the place of what the store has, if so, and what to do: what cannot be read
/// cannot be judged, and a directory is in the way. The status for it is that of its state.
[[nodiscard]] std::optional<Error> why_not_replaceable(const store::Inspection& before,
                                                       const options::Environment& environment);

}  // namespace claude_init::setup
