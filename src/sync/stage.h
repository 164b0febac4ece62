#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "fs/copy.h"
#include "login/secrets.h"
#include "sync/baseline.h"
#include "sync/plan.h"
#include "sync/transaction.h"
#include "ui/progress.h"

namespace claude_init::sync {

struct StageOptions {
  Deadline deadline{};
  std::uint64_t max_bytes = Limits{}.max_bytes;  // files may have grown since they were planned
  Baseline* noted_sources = nullptr;             // what was copied, as it was in the source
  Baseline* noted_copies = nullptr;              // and as it will be where it is moved to
  ui::ProgressCallback progress{};
  bool withhold_secrets = false;  // what looks like one is overwritten in the copies (sync/blank.h)
  fs::Copier::Writes writes = fs::Copier::Writes::later;
  login::Withheld withheld = login::Withheld::refresh_tokens;  // which of them
};

/// What a commit would bring into place.
struct Staged {
  std::uint64_t added = 0;
  std::uint64_t changed = 0;
  std::uint64_t bytes = 0;
  std::vector<Skipped> skipped;       // could not be read after all
  std::vector<std::string> left_out;  // out of time
};

/// Copies what `plan` lists from `from` into the stage of `into`. Mtimes are kept. A directory that is new is
/// built whole and moved as one. What has gone from the source meanwhile is passed over. An Error is one of
/// writing, or limit; nothing of the stage is to be committed then.
[[nodiscard]] Result<Staged> stage(const Plan& plan, const store::Tree& from, Transaction& into,
                                   const StageOptions& options);

}  // namespace claude_init::sync
