#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"

/// `.credentials.json` holds one login of Claude's and, beside it, those of MCP servers and whatever else the
/// CLI adds: each of them has a history of its own. Pure.
namespace claude_init::login {

struct MergeRules {
  bool take_login = false;   // Claude's is `from`'s; else it stays
  bool prefer_from = false;  // of two others where nothing tells which one is newer
  UnixMs now = 0;
};

/// The file `into` with what `from` has of it that is newer, key by key; nothing is taken away. A result that
/// says the same as one of the two is that one, byte for byte. What lies
/// beside Claude's login is a login of its own each (of an object that has only objects, such as mcpOAuth:
/// each of these):
/// 1. What only one side has is kept.
/// 2. A copy that had its secrets withheld is not another one.
/// 3. The later `expiresAt` is the newer one; a deadline further away than a login lives tells nothing.
/// 4. One that had its secrets withheld never replaces one that has them; else as `rules` say.
/// Errors: invalid (one of them is not a JSON object), limit (what they have together is larger than any file
/// of logins).
[[nodiscard]] Result<Secret> merge(std::string_view into, std::string_view from, const MergeRules& rules);

/// A login beside Claude's.
struct Other {
  std::string name;                    // the MCP server's, or the key that it lies under
  bool renewable = false;              // it has a secret by which it is renewed
  std::optional<UnixMs> expires_at{};  // its access token's end
};
/// None where the text is not a file of logins.
[[nodiscard]] std::vector<Other> other_logins(std::string_view text);

/// Claude's login alone, for a CLI that is to renew that and to touch nothing else. Error: invalid.
[[nodiscard]] Result<Secret> without_others(std::string_view text);

}  // namespace claude_init::login
