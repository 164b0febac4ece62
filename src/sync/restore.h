#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "fs/identity.h"
#include "login/login.h"
#include "store/layout.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "sync/baseline.h"
#include "sync/plan.h"
#include "ui/progress.h"

namespace claude_init::sync {

struct RestoreOptions {
  store::Extent extent = store::Extent::all;
  store::RefreshToken refresh_token = store::RefreshToken::withhold;
  // Where the refresh token is withheld: also what looks like one anywhere else, and copies of logins. For
  // whoever is not the store's own person.
  bool withhold_elsewhere = true;
  store::Filter filter{};
  Limits limits{};
  // Filled with what was restored, when all of it was; not owned, may be null.
  Baseline* baseline = nullptr;
  // A login that is in its place already and better than the store's stays. `restore --generation`: false.
  bool keep_better_login = true;
  ui::ProgressCallback progress{};
};

struct RestoreReport {
  std::uint64_t files = 0;  // written
  std::uint64_t bytes = 0;
  std::vector<Skipped> skipped;
  // What was restored as a login, or was to be; none where it was not asked for, or a better one stays.
  std::optional<login::State> login{};
  bool login_restored = false;
};

/// Bytes and files that a restore into an empty place would write.
struct Size {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  bool has_executables = false;
};

/// A store that has been looked through: how much a restore would write, and what, so that it need not look
/// again.
struct Measured {
  Size size;
  store::Snapshot snapshot;
  Plan plan;
  Baseline stored;  // the store's copies
};
/// The store has to outlive what is returned. Errors: permission, io, limit.
[[nodiscard]] Result<Measured> measure(const store::Store& from, const RestoreOptions& options);

/// Copies the store's state to `to`: the way both a working copy and a setup session get theirs. The
/// configuration directory is made if its parent is there. Files are created as `target` (0700 directories,
/// 0600 files, executables 0700), whole or not at all; an existing file is replaced unless it is the same.
/// Links as make_plan() says, so a Secret's `..data` is followed; nothing outside `to` is written. Login
/// files that do not parse are not restored, and a login that is there already and that a capture into this
/// store would take is kept; both are named. Not durable: a working copy is not worth an fsync. `measured` is
/// of this store with these options; what was found then is used if the store is still the same and the place
/// is empty. Errors: permission, no_space, limit, not_found, invalid (`to` is the store itself).
[[nodiscard]] Result<RestoreReport> restore(const store::Store& from, const store::StatePaths& to,
                                            fs::Identity target, const RestoreOptions& options,
                                            std::optional<Measured> measured = std::nullopt);

}  // namespace claude_init::sync
