#pragma once

#include "base/result.h"
#include "base/time.h"
#include "login/login.h"
#include "store/store.h"

/// A login that cannot be renewed any more is remembered, so that no process spends time and log lines on it
/// again: STORE/.claude-init/status.json names it by its deadline and account, never by a token. Another
/// login in its place is another one.
namespace claude_init::store {

enum class Rejection {
  none,
  by_server,  // the server does not accept its refresh token
  burnt,      // a renewal spent the refresh token and did not save the new one
};

/// Needs the "renewal" lock. Errors: read_only, permission, no_space, io.
[[nodiscard]] Result<void> record_rejection(const Store& store, const login::Login& login, Rejection why,
                                            UnixMs now);

/// `none` also where the record cannot be read: then the login is tried once more.
[[nodiscard]] Rejection rejection_of(const Tree& store, const login::Login& login);
[[nodiscard]] inline bool is_rejected(const Tree& store, const login::Login& login) {
  return rejection_of(store, login) != Rejection::none;
}

}  // namespace claude_init::store
