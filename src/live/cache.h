#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "health/health.h"
#include "options/environment.h"
#include "store/inspect.h"

namespace claude_init::live {

/// Results of `health --live`, for probes that follow: kept in a directory of our own user's, in the first of
/// $XDG_RUNTIME_DIR, /run and /tmp that can be written; never in a store, and nothing secret. A result is one
/// login's and one command's: another access token has none yet, nor has another command.
class Cache {
 public:
  Cache(const store::Inspection& inspection, const std::vector<std::string>& command,
        const options::Environment& environment);

  /// The last result, if it is no older than `max_age`; of a failure, which may be over, never more than a
  /// minute.
  [[nodiscard]] std::optional<health::Live> find(Milliseconds max_age, UnixMs now) const;
  /// A command that could not be executed has no result. Error: there is no place for it.
  [[nodiscard]] Result<void> keep(const health::Live& live) const;

 private:
  std::string store_;
  std::string command_;
  UnixMs login_until_ = 0;  // tells one access token from another
  std::string name_;
  UniqueFd directory_;
};

}  // namespace claude_init::live
