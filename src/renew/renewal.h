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
#include "lock/lock.h"
#include "login/login.h"
#include "renew/outcome.h"
#include "renew/tool.h"
#include "renew/verdict.h"
#include "store/rejection.h"
#include "store/renewer_note.h"
#include "store/store.h"
#include "supervise/spawn.h"

/// One renewal of a store's login, by the official CLI: we never speak to the server ourselves.
namespace claude_init::renew {

/// Whether this store is where it was made. Nothing: it is. `refused`: it is a copy.
[[nodiscard]] std::optional<Outcome> check_home(const store::Store& store);

/// Brings a store that has the key in order (sync/settle.h), after what a renewal that was cut short has left
/// is in the store. Waits for each lock at most `wait`. Nothing without a key, or where nothing is to be
/// done.
[[nodiscard]] Result<void> settle(const store::Store& store, std::string_view purpose, Milliseconds wait);

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
  [[nodiscard]] static Result<lock::Lock> take_right(const store::Store& store, std::string_view purpose,
                                                     Milliseconds wait);

  /// `words` to be run as the store's owner, in a clean environment: of `environment` (NAME=VALUE) it gets
  /// what the way to the server needs, and nothing that hides the login; then the variables that stand before
  /// the program in `words`. What it says goes to `output`; -1: nowhere. Holds descriptors of this object.
  [[nodiscard]] supervise::Command command(const std::vector<std::string>& words,
                                           const std::vector<std::string>& environment,
                                           int output = -1) const;

  /// What is known of this store's renewals, to be changed while this object has the lock.
  [[nodiscard]] store::RenewerNote note() const { return store::read_renewer_note(store_.tree()); }
  void remember(const store::RenewerNote& note) const;

  /// After the command has ended: looks at the file and nothing else. What it renewed is in the store,
  /// durable, when this says so. What the command left is removed, tokens overwritten, unless it could not be
  /// published or read: then it stays to be recovered. Releases the lock.
  [[nodiscard]] Outcome finish(const Tool& tool, const Ended& ended);

  /// Instead, where no command that may renew was started.
  void abandon();

 private:
  /// What the command made of the login that it was given.
  enum class Made { new_tokens, nothing, blank, useless };
  Renewal(store::Store store, lock::Lock lock) : store_(std::move(store)), lock_(std::move(lock)) {}
  [[nodiscard]] std::optional<Outcome> recover();
  [[nodiscard]] Result<void> make_directory(std::string_view login);
  [[nodiscard]] Result<void> remove_directory();
  /// Error: it cannot be read, and may be new tokens.
  [[nodiscard]] Result<Made> made() const;
  [[nodiscard]] Result<bool> still_has_given() const;
  [[nodiscard]] Outcome publish() const;
  /// Whether the command took the CLI's lock for a renewal, which lies beside its configuration directory.
  [[nodiscard]] bool has_asked() const;
  [[nodiscard]] Outcome nothing_made(const Tool& tool, const Ended& ended) const;
  [[nodiscard]] Outcome blanked() const;
  void remember_unanswered(const Tool* tool) const;
  void remember_rejection(store::Rejection why) const;

  store::Store store_;
  lock::Lock lock_;
  fs::Identity who_;    // whose rights the command has
  UniqueFd private_;    // STORE/.claude-init
  UniqueFd directory_;  // STORE/.claude-init/renewal
  timespec made_{};     // when the last entry of that was made
  UniqueFd null_;
  Secret given_;  // the login as it was in the store
};

}  // namespace claude_init::renew
