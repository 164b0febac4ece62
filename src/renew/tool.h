#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/known.h"
#include "renew/outcome.h"
#include "store/renewer_note.h"

namespace claude_init::renew {

/// What renews a login: a command, and the version of the CLI that it is, where that is known.
struct Tool {
  std::vector<std::string> words = cli::renewing_command();
  std::optional<cli::Version> version{};

  [[nodiscard]] bool is_default() const { return words == cli::renewing_command(); }
  /// For records: the same for the same command and version; no secret in it.
  [[nodiscard]] std::string name() const;
  /// For people: "claude auth status (2.1.260)", redacted.
  [[nodiscard]] std::string shown() const;
};

/// Why this tool must not renew: its version is known to lose the login, or to ask nobody, or it has lost one
/// of this store. Nothing: it may. An Outcome of kind `failed`,
/// with what to do: another version may come.
[[nodiscard]] std::optional<Outcome> why_unfit(const Tool& tool, const store::RenewerNote& note);

}  // namespace claude_init::renew
