#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "lock/lock.h"
#include "login/secrets.h"
#include "store/store.h"

namespace claude_init::sync {

struct Publishing {
  Milliseconds wait{5000};                                     // for another process that publishes
  login::Withheld withheld = login::Withheld::refresh_tokens;  // what readers do not get
  std::optional<uid_t> owner = {};                             // whose the directory has to be (StoreOptions)
};

/// The directory that `from` is published into, made if it is missing, as something to capture into with the
/// refresh token withheld. When it returns there is no refresh token beneath it, whatever was in it before:
/// neither in the login nor in what `.claude-init/` keeps of earlier ones, nor anything that looks like one
/// elsewhere; of a store for jobs behind the gateway (login/placeholder.h) the same holds for every token. A
/// directory that is not marked and whose own login can still be used is left as it is, unless
/// it is a copy of the store's: somebody may have no other. Errors: usage (it is the store, or beneath or
/// around it), invalid (a login of its own), busy, and those of prepare().
[[nodiscard]] Result<store::Store> open_published(const std::string& directory, const store::Store& from,
                                                  const Publishing& how = {});

/// What is published has no lock: its readers could hold it. Who publishes `from` holds one of that store's,
/// or none where that may not be written. Error: busy, and others of Lock::acquire().
[[nodiscard]] Result<lock::Lock> lock_to_publish(const store::Store& from, Milliseconds wait);

}  // namespace claude_init::sync
