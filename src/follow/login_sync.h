#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "store/layout.h"

/// Which way a login has to go between a store and a session's copy of it. Pure.
namespace claude_init::follow {

enum class Move {
  nothing,
  give,  // the store's to the copy
  save,  // the copy's to the store, where it is judged
};

struct Sides {
  std::optional<std::string_view> store;  // whole files; nullopt = missing
  std::optional<std::string_view> copy;
  bool store_changed = false;             // the store's is not the one that was given last
  std::string_view given_access_token{};  // what the copy was given last; "" = nothing yet
  store::RefreshToken refresh_token = store::RefreshToken::withhold;  // what the copy is to get
};

/// 1. What does not work in the store is never given: the copy keeps what it has.
/// 2. A copy that was blanked or damaged is given the store's again. One whose login was taken away on
///    purpose (a logout) is left alone until the store changes.
/// 3. With the store's access token in it the copy only has to have, or not to have, the refresh token, and
///    what the store's got beside it.
/// 4. With an access token that it was given it follows the store, unless the store's has ended earlier.
/// 5. Any other that works was made in the copy: it is the store's to judge, and is not taken away.
[[nodiscard]] Move decide(const Sides& sides, UnixMs now);

/// The store's login as a copy is to have it; logins of other services that were made or renewed in the copy
/// stay in it (login/merge.h). Error: invalid.
[[nodiscard]] Result<Secret> text_to_give(std::string_view store, std::optional<std::string_view> copy,
                                          store::RefreshToken refresh_token);

}  // namespace claude_init::follow
