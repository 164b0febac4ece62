#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/known.h"
#include "renew/helper.h"
#include "store/renewer_note.h"
#include "supervise/supervisor.h"
#include "user/account.h"

namespace claude_init::renew {

/// Asks a CLI for its version where there is no renewal: `claude --version`, as `who`, with nothing that it
/// could read or write of anybody's.
class VersionQuery {
 public:
  using Then = std::function<void(const std::optional<cli::Version>&)>;
  explicit VersionQuery(const supervise::Loop& loop) : helper_(loop) {}

  /// Of the CLI in `program`, found by `environment`. `then` is called when it is known, or is not to be had.
  void ask(const store::RenewerNote::Program& program, const std::vector<std::string>& environment,
           const user::Account& who, Then then);
  [[nodiscard]] bool is_asking() const { return helper_.is_running(); }

 private:
  Helper helper_;
};

/// How long a CLI may take to say its version.
inline constexpr Milliseconds kVersionLimit{30'000};

/// What it has written then.
[[nodiscard]] std::optional<cli::Version> version_in(int output);

}  // namespace claude_init::renew
