#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "lock/lock.h"
#include "store/store.h"
#include "store/tree.h"
#include "sync/plan.h"
#include "sync/session_baseline.h"

namespace claude_init::sync {

struct MergeOptions {
  store::Filter filter{};
  Limits limits{};
  Deadline deadline{};  // what is not staged then is left out and named
  std::vector<std::string>
      only{};  // patterns of what may be merged, unless filter.include names it; empty: all
  std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();  // for sessions in `to` (SessionRoom)
};

struct MergeReport {
  std::uint64_t added = 0;      // files that the store did not have
  std::uint64_t changed = 0;    // files that have something new
  std::uint64_t kept_both = 0;  // of these: both sides had changed them, and each version has a name now
  std::uint64_t bytes = 0;      // written
  std::vector<Skipped> skipped;
  std::vector<std::string> left_out;  // out of time
  std::vector<std::string> unwanted;  // new or changed in the copy, and not merged: `only` does not match
};

/// Brings what a run has added to the sessions in its copy (names of the role `session`) into `to`. Nothing
/// is deleted and nothing is lost, however many runs do this with copies of the same sessions: the lines of a
/// session (.jsonl) are brought together, each once; of another file that both sides have changed the older
/// version is kept beside the later one as NAME.conflict-XXXXXXXXXXXXXXXX (of its content), and of one with
/// more lines than are compared (jsonl_merge.h). Doing it again changes nothing. `from` may be hostile: read
/// with the rights of `from.who`, no link is followed or kept. Durable transactions, one for each thousand
/// files, so that none takes long once the deadline has come; needs the "store" lock. An eighth of the file
/// system, 16 MiB at most, stays free for the login. Errors: no_space, read_only, permission, io, limit
/// (`max_bytes`).
[[nodiscard]] Result<MergeReport> merge_sessions(const store::Tree& from, const SessionBaseline& given,
                                                 const store::Store& to, const lock::Lock& lock,
                                                 const MergeOptions& options);

}  // namespace claude_init::sync
