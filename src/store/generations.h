#pragma once

#include <cstdint>
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
/// has put into the store. Of a sealed store both files of the login are copied, as they are
/// (store/sealed.h).
namespace claude_init::store {

inline constexpr unsigned kKeepGenerations = 5;
inline constexpr const char* kGenerations = "generations";   // in `.claude-init`
inline constexpr const char* kUnfinishedGeneration = "new";  // there, until it gets its number

struct Generation {
  std::uint64_t number = 0;
  UnixMs at = 0;        // when it was put into the store
  std::string reason;   // "setup", "checkpoint", "renewal", "capture"; "found": not put there by a capture
  bool proven = false;  // the login was made by a renewal of ours or by a person in a setup session
  std::string account;  // the e-mail address, else the account's uuid, "" if neither is known
  login::State state = login::State::missing;  // at `now`
  std::optional<login::Login> login;           // deadlines; no tokens in it
  bool sealed = false;
};

/// The oldest first. A store without any is an empty list; one that is damaged is listed as far as it can be
/// read. A directory whose number no capture can have counted up to is none: the log names it. Errors:
/// permission, io.
[[nodiscard]] Result<std::vector<Generation>> list_generations(const Store& store, UnixMs now);

/// The number of the newest; 0 where there is none. Nothing but names is read.
[[nodiscard]] Result<std::uint64_t> newest_generation(const Store& store);

/// All their numbers, in ascending order.
[[nodiscard]] Result<std::vector<std::uint64_t>> generation_numbers(const Store& store);

/// A generation as something to restore from. Error: not_found.
[[nodiscard]] Result<Store> open_generation(const Store& store, std::uint64_t number);

/// Whether this login file has the tokens of a proven generation: of any other its deadlines are only what
/// somebody has written there. Error: one of them cannot be read now.
[[nodiscard]] Result<bool> is_proven(const Store& store, std::string_view login);

/// What one capture does for the generations, under the store's lock. Nothing at all where no login file
/// changes.
class GenerationKeeper {
 public:
  /// `store` has to outlive it. `keep` of none: no generations are made, and those that are there stay.
  GenerationKeeper(const Store& store, std::string reason, unsigned keep)
      : store_(store), reason_(std::move(reason)), keep_(keep) {}

  /// Before any login file is replaced: when it returns, what the store has now is durably among the
  /// generations. An error means that it is not, and then it is not to be replaced.
  [[nodiscard]] Result<void> before_change();
  /// The login that is put into the store is proven.
  void prove() { proves_ = true; }
  /// After the last change: what the store has now is the newest generation. Of more than are kept the oldest
  /// go, but first those that have the same login as the next one: a login is not pushed out by settings. The
  /// last proven one stays, however many unproven ones come after it.
  [[nodiscard]] Result<void> after_changes();

 private:
  const Store& store_;
  std::string reason_;
  unsigned keep_;
  bool changing_ = false;
  bool proves_ = false;
};

}  // namespace claude_init::store
