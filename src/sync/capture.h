#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "fs/identity.h"
#include "lock/lock.h"
#include "login/login.h"
#include "login/secrets.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/store.h"
#include "sync/baseline.h"
#include "sync/plan.h"
#include "ui/progress.h"

namespace claude_init::sync {

struct CaptureOptions {
  store::Filter filter{};
  store::Extent extent = store::Extent::all;  // login: nothing but .credentials.json and .claude.json
  login::Rules rules{};
  store::RefreshToken refresh_token = store::RefreshToken::copy;  // withhold: into a published store
  login::Withheld withheld = login::Withheld::refresh_tokens;     // from its readers
  Deadline deadline{};                              // what is not staged then is left out and named
  // A file (but the login, which is judged) of which the store has a later version stays.
  bool keep_newer = false;
  Limits limits{};
  bool follow_links_out = false;  // plan.h; for a state that was written in this mount namespace
  Deletions delete_missing = Deletions::none;
  // Of the session that captures; brought up to date when the capture succeeds. Not owned, may be null.
  Baseline* baseline = nullptr;
  std::string reason = "capture";  // of the generation: "setup", "checkpoint", "renewal", "capture"
  unsigned keep_generations = store::kKeepGenerations;
  ui::ProgressCallback progress{};
};

struct CaptureReport {
  login::Verdict login;     // what became of the login
  std::uint64_t added = 0;  // files that the store did not have
  std::uint64_t changed = 0;
  std::uint64_t unchanged = 0;
  std::uint64_t deleted = 0;
  std::uint64_t bytes = 0;            // written
  std::vector<Skipped> skipped;       // links out, special files, unreadable ones
  std::vector<std::string> left_out;  // out of time
  bool settings_kept = false;         // the source's .claude.json did not parse and the store's was kept
};

/// Captures the state at `from`, read with the rights of `source`, into `to`, written with the rights of its
/// owner. The login is a transaction of its own and goes first; everything else is one transaction. When it
/// returns an error the store holds the old state or the new one (as readers of ours see it: a part of the
/// latter may still have to be put into place, which the next capture does), and a login that was reported
/// taken is durable. Login files that are replaced are among the generations before. Needs the "store" lock.
/// Errors: no_space, read_only, permission, io, limit.
[[nodiscard]] Result<CaptureReport> capture(const store::StatePaths& from, fs::Identity source,
                                            const store::Store& to, const lock::Lock& lock,
                                            const CaptureOptions& options);

}  // namespace claude_init::sync
