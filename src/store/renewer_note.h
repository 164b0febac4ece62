#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "login/login.h"
#include "store/store.h"

/// What is remembered of a store's renewals, for the next renewal and for `health`:
/// STORE/.claude-init/renewer.json. No secret in it; a login is named as in rejection.h.
namespace claude_init::store {

struct RenewerNote {
  /// A file that was run: another one has another path, size or time.
  struct Program {
    std::string path;
    std::int64_t size = 0;
    std::int64_t modified = 0;  // content or place, nanoseconds
    bool operator==(const Program&) const = default;
  };
  /// A renewal that set out to ask the server and left the login as it was: its token may be spent.
  struct Unanswered {
    UnixMs expires_at = 0;
    std::string account_uuid;
    std::string tool;   // what ran, as in `burners`
    std::string shown;  // the same for a person
  };
  Program program;
  std::string version;  // what that program said, "2.1.332"; "" if it is not known
  std::string keeper;   // the same of the program that a keeper renews with
  std::optional<Unanswered> unanswered;
  std::vector<std::string> burners;  // tools that have cost a login: they must not run again

  [[nodiscard]] bool is_unanswered(const login::Login& login) const {
    return unanswered && unanswered->expires_at == login.expires_at &&
           unanswered->account_uuid == login.account_uuid;
  }
};

/// An empty one where there is none, or it cannot be read.
[[nodiscard]] RenewerNote read_renewer_note(const Tree& store);

/// Needs the "renewal" lock. Errors: read_only, permission, no_space, io.
[[nodiscard]] Result<void> write_renewer_note(const Store& store, const RenewerNote& note);

}  // namespace claude_init::store
