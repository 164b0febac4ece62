#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "store/store.h"

namespace claude_init::store {

/// Who holds a lock: told to whoever waits or is refused.
struct Holder {
  std::string host;
  int pid = 0;
  std::string purpose;
  UnixMs since = 0;
  /// "setup on host web-1 (pid 1, for 4 min 10 s)"
  [[nodiscard]] std::string describe(UnixMs now) const;
};

/// An advisory lock in STORE/.claude-init/locks/NAME (flock(2): it goes with its holder, however that dies).
/// Released by the destructor. Two are used: "setup", held by an interactive session for its whole life, and
/// "store", held for the length of one transaction.
class Lock {
 public:
  /// Takes it, waiting at most `wait`. Error: busy with the holder in the text; read_only, permission, io.
  [[nodiscard]] static Result<Lock> acquire(const Store& store, std::string_view name,
                                            std::string_view purpose, Milliseconds wait);
  /// Who holds NAME now; an empty host if nobody does. Needs no write access.
  [[nodiscard]] static Holder holder(const Store& store, std::string_view name);

 private:
  UniqueFd fd_;
};

}  // namespace claude_init::store
