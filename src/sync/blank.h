#pragma once

#include <string>

#include "base/result.h"
#include "login/secrets.h"
#include "store/store.h"

/// Secrets in the files of a state that is given to somebody who is not to renew its logins
/// (login/secrets.h).
namespace claude_init::sync {

/// Overwrites what looks like a secret in a file of ours that is open for reading and writing; its size
/// stays. However large it is, in little memory. Errors: io, interrupted.
[[nodiscard]] Result<void> blank_secrets(int file, const std::string& path, login::Withheld withheld);

/// The same for everything in a store that was filled before secrets were looked for everywhere; copies of
/// logins are removed. `.credentials.json` in the root and `.claude-init/` stay as they are. Errors:
/// permission, io.
[[nodiscard]] Result<void> remove_secrets(const store::Store& store, login::Withheld withheld);

}  // namespace claude_init::sync
