#pragma once

#include <string>

#include "base/result.h"
#include "options/options.h"
#include "store/store.h"

namespace claude_init::access {

/// The keys of --seal-key and --old-seal-key, for `store` and how it is opened. Each is read once, with our
/// rights or its owner's. Error usage: it cannot be one: not there, no file, too short, open to all users,
/// in the store.
[[nodiscard]] Result<void> take_seal_key(const options::Sealing& options, const std::string& store,
                                         store::StoreOptions& how);

/// The same, and whether the store is sealed with another one.
[[nodiscard]] Result<void> take_fitting_seal_key(const options::Sealing& options, const std::string& store,
                                                 store::StoreOptions& how);

}  // namespace claude_init::access
