#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

/// JSON, written again while it is parsed: one pass over it, however it is built. For secrets.cpp and
/// merge.cpp.
namespace claude_init::login {

inline constexpr std::size_t kMostCredentialsBytes = 1 << 18;

enum class Secrets { keep, leave_out };

/// A value in compact form, keys in their order. Secrets::leave_out: without the members whose names are
/// those of secrets (secrets.h), whatever they hold, and without strings that hold a refresh token of the
/// CLI's. Error invalid: it is not JSON, or nested more than 64 levels deep.
[[nodiscard]] Result<std::string> rewrite(std::string_view text, Secrets secrets);

/// A member of an object, and what its value has in it if that is an object too.
struct Member {
  std::string key;
  std::string value;  // compact JSON
  bool is_object = false;
  std::size_t begin = 0;  // where `value` was found
  std::size_t end = 0;
  std::vector<Member> members{};       // of the two upper levels only
  std::optional<UnixMs> expires_at{};  // its own, where it has one
};

/// The members of an object. The last of several with the same name counts, in the place of the first. Errors
/// as above, and invalid: it is not an object, or larger than any file of logins.
[[nodiscard]] Result<std::vector<Member>> split(std::string_view object);

}  // namespace claude_init::login
