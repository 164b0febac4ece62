#pragma once

#include "base/secret.h"
#include "loop/reaper.h"
#include "renew/outcome.h"
#include "renew/tool.h"
#include "store/renewer_note.h"

/// What came of a renewing command that brought no new token, in words. Pure.
namespace claude_init::renew {

/// The memory that the CLI takes while it renews, in MB (measured: 181 with 2.1.332, 194 with 2.1.260).
inline constexpr unsigned kCliMegabytes = 200;

/// How a renewing command ended.
struct Ended {
  loop::ChildChange change;
  bool timed_out = false;  // we ended it, since it took too long
  std::string said{};      // its last words, redacted
};

/// The login `given` was blanked: the server does not renew it any more.
[[nodiscard]] Outcome rejected_by_server(const Secret& given);

/// The same of one that a renewal has spent before, and saved nothing.
[[nodiscard]] Outcome burnt(const store::RenewerNote::Unanswered& by);

/// The login is as it was; `asked`: the command set out to ask the server.
[[nodiscard]] Outcome why_nothing(const Tool& tool, const Ended& ended, bool asked);

}  // namespace claude_init::renew
