#pragma once

#include <string>
#include <string_view>

namespace claude_init::renew {

/// The outcome of a renewal: the scheduler decides by it when to try again, people read its reason.
struct Outcome {
  enum class Kind {
    renewed,   // the store has new tokens
    not_due,   // the store has another login than the one that was to be renewed, or none
    busy,      // another process renews, or writes to the store: try again soon
    failed,    // nothing has changed: try again later
    refused,   // it is not for us to renew this store's login: it has been copied from elsewhere
    rejected,  // this login cannot be renewed any more: never try it again
  };
  Kind kind = Kind::failed;
  std::string reason;  // why, unless renewed or not_due
  std::string remedy;
  std::string_view cause{};  // of failed, refused and rejected: one word, for counters
  std::string said{};        // the renewing command's last words, redacted, where it did not renew
};

/// Causes that somebody asks for. Of `failed`: the command asked the server and got no usable answer, or it
/// never asked. Of `rejected`: a renewal spent the refresh token and did not save the new one.
inline constexpr std::string_view kNoAnswer = "no-answer";
inline constexpr std::string_view kNotAsked = "not-asked";
inline constexpr std::string_view kBurnt = "burnt";

}  // namespace claude_init::renew
