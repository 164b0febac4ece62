#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "store/given.h"
#include "store/lock.h"
#include "store/plan.h"
#include "store/store.h"
#include "store/tree.h"

namespace claude_init::store {

struct MergeOptions {
  Filter filter{};
  Limits limits{};
  Deadline deadline{};  // what is not staged then is left out and named
};

struct MergeReport {
  std::uint64_t added = 0;      // files that the store did not have
  std::uint64_t changed = 0;    // files that have something new
  std::uint64_t kept_both = 0;  // of these: both sides had changed them, and each version has a name now
  std::uint64_t bytes = 0;      // written
  std::vector<Skipped> skipped;
  std::vector<std::string> left_out;  // out of time
};

/// Brings what a run has added to the sessions in its copy (projects/, todos/) into `to`. Nothing is deleted
/// and nothing is lost, however many runs do this with copies of the same sessions: the lines of a session
/// (.jsonl) are brought together, each once; of another file that both sides have changed the older version
/// is kept beside the later one as NAME.conflict-XXXXXXXXXXXXXXXX (of its content). Doing it again changes
/// nothing. `from` may be hostile: read with the rights of `from.who`, no link is followed or kept. One
/// durable transaction; needs the "store" lock. Errors: no_space, read_only, permission, io, limit.
[[nodiscard]] Result<MergeReport> merge_sessions(const Tree& from, const Given& given, const Store& to,
                                                 const Lock& lock, const MergeOptions& options);

}  // namespace claude_init::store
