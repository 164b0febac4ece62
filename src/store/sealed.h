#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "store/state_file.h"
#include "store/store.h"

/// A store whose login is sealed: `.claude-init/sealed-login` is the whole file of logins (seal/seal.h), and
/// `.credentials.json` what a published store would have of it, made from that. The sealed one counts.
/// Generations are the same in small.
namespace claude_init::store {

/// Whether its login is sealed; also where that cannot be known now.
[[nodiscard]] bool is_sealed(const Store& store);

/// The login of a store, whole where that can be had: with the key what was sealed, where nothing is sealed
/// or there is no key the plain file. `st` is the plain file's, where it is there. Problems of kind usage:
/// sealed with another key, in another store, by a later version; the remedy says what to do.
[[nodiscard]] StateFile read_login(const Store& store);

/// What is sealed, opened. `text` is not there where nothing is sealed, or there is no key.
struct SealedLogin {
  StateFile file;
  bool current = true;  // by the key that seals, under the store's present name
};
[[nodiscard]] SealedLogin open_sealed(const Store& store);

/// The two files of a store with this login.
struct SealedPair {
  std::string sealed;
  Secret plain;
};
/// For a store that has the key. What was sealed has been opened again. Errors: invalid (no file of logins),
/// and those of home_of().
[[nodiscard]] Result<SealedPair> seal_login(const Store& store, std::string_view login);

/// Whether the key opens what is sealed; a damaged file counts as none, and so does a store without one.
/// Errors as read_login().
[[nodiscard]] Result<void> check_opens(const Store& store);

/// The refusal of what cannot be done without the key: "STORE is sealed: WHAT".
[[nodiscard]] Error needs_key(const Store& store, std::string_view what);

}  // namespace claude_init::store
