#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "login/login.h"
#include "store/store.h"

/// Earlier versions of the login files (`.credentials.json`, `.claude.json`, the settings), copied whole to
/// STORE/.claude-init/generations/NUMBER. The newest one is what the last capture that changed any of them
/// put into the store.
namespace claude_init::store {

inline constexpr unsigned kKeepGenerations = 5;

struct Generation {
  unsigned number = 0;
  UnixMs at = 0;        // when it was put into the store
  std::string reason;   // "setup", "checkpoint", "renewal", "capture"; "found": not put there by us
  std::string account;  // the e-mail address, else the account's uuid, "" if neither is known
  login::State state = login::State::missing;  // now
  std::optional<login::Login> login;           // deadlines; no tokens in it
};

/// The oldest first. A store without any is an empty list; one that is damaged is listed as far as it can be
/// read. Errors: permission, io.
[[nodiscard]] Result<std::vector<Generation>> list_generations(const Store& store, UnixMs now);

/// A generation as something to restore from. Error: not_found.
[[nodiscard]] Result<Store> open_generation(const Store& store, unsigned number);

/// For capture(), under the store's lock: what is in the store now is among the generations when it returns,
/// durably, so that it can be replaced. Nothing is written where it is the newest one already.
[[nodiscard]] Result<void> keep_current(const Store& store, std::string_view reason, unsigned keep);

}  // namespace claude_init::store
