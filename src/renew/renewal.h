#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/unique_fd.h"
#include "fs/identity.h"
#include "login/login.h"
#include "store/lock.h"
#include "store/store.h"
#include "supervise/reaper.h"
#include "supervise/spawn.h"

/// One renewal of a store's login, by the official CLI: we never speak to the server ourselves.
namespace claude_init::renew {

/// The memory that the CLI takes while it renews, in MB (measured, 2.1.330).
inline constexpr unsigned kCliMegabytes = 145;

/// What became of it, for whoever decides when to try again, and for a person.
struct Outcome {
  enum class Kind {
    renewed,   // the store has new tokens
    not_due,   // the store has another login than the one that was to be renewed, or none
    busy,      // somebody else is renewing, or writes to the store: look again soon
    failed,    // nothing has changed: try again later
    refused,   // it is not for us to renew this store's login: it has been copied from elsewhere
    rejected,  // this login cannot be renewed any more: never try it again
  };
  Kind kind = Kind::failed;
  std::string reason;  // why, unless renewed or not_due
  std::string remedy;
  std::string_view cause{};  // of failed, refused and rejected: one word, for counters
};

/// Whether this store is where it was made. Nothing: it is. `refused`: it is a copy.
[[nodiscard]] std::optional<Outcome> check_home(const store::Store& store);

/// How a renewing command ended.
struct Ended {
  supervise::ChildChange change;
  bool timed_out = false;  // we ended it, since it took too long
};

/// A renewal that holds the store's "renewal" lock and whose command is to be run:
///
///     begin() → command() → (spawned, has ended) → finish()
///
/// STORE/.claude-init/renewal/ holds, while it lasts, `given`, the login as it was, and `config/`, the
/// configuration directory in which the command runs, with nothing in it but that login with its deadline
/// passed. Both are the store's owner's and durable before the command starts. It is made anew each time: in
/// a directory that an earlier run has left something in the CLI may skip the renewal (measured).
///
/// Killed at any point, the store keeps its login, or what the command wrote is found in there and published
/// by whoever comes next. Since the command inherits the lock, nobody comes before it has ended. There is one
/// window that no client can close: the server has answered, and the command has not yet written it.
class Renewal {
 public:
  /// Up to where the command can be started. `due` is the access token that is to be replaced; `purpose` is
  /// told to others who want the lock. An Outcome: there is nothing to be run (any more).
  [[nodiscard]] static std::variant<Renewal, Outcome> begin(const std::string& store, const Secret& due,
                                                            std::string_view purpose,
                                                            const store::StoreOptions& how = {});

  /// The lock, for whoever lets somebody renew who is not watched by us (a session that was given the refresh
  /// token), and what a renewal that was cut short has left, published. Waits at most `wait`.
  [[nodiscard]] static Result<store::Lock> take_right(const store::Store& store, std::string_view purpose,
                                                      Milliseconds wait);

  /// `words` to be run as the store's owner, in a clean environment: of `environment` (NAME=VALUE) it gets
  /// what the way to the server needs, and nothing that hides the login. Holds descriptors of this object.
  [[nodiscard]] supervise::Command command(const std::vector<std::string>& words,
                                           const std::vector<std::string>& environment) const;

  /// After the command has ended: looks at the file and nothing else. What it renewed is in the store,
  /// durable, when this says so. What the command left is removed, tokens overwritten, unless it could not be
  /// published or read: then it stays to be recovered. Releases the lock.
  [[nodiscard]] Outcome finish(const Ended& ended);

 private:
  /// What the command made of the login that it was given.
  enum class Made { new_tokens, nothing, blank, useless };
  Renewal(store::Store store, store::Lock lock) : store_(std::move(store)), lock_(std::move(lock)) {}
  [[nodiscard]] std::optional<Outcome> recover();
  [[nodiscard]] Result<void> make_directory(std::string_view login);
  [[nodiscard]] Result<void> remove_directory();
  /// Error: it cannot be read, and may be new tokens.
  [[nodiscard]] Result<Made> made() const;
  [[nodiscard]] Result<bool> still_has_given() const;
  [[nodiscard]] Outcome publish() const;
  void remember_rejection() const;

  store::Store store_;
  store::Lock lock_;
  fs::Identity who_;    // whose rights the command has
  UniqueFd private_;    // STORE/.claude-init
  UniqueFd directory_;  // STORE/.claude-init/renewal
  UniqueFd null_;
  Secret given_;  // the login as it was in the store
};

}  // namespace claude_init::renew
