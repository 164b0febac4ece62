#pragma once

#include <functional>

#include "base/result.h"
#include "user/account.h"

namespace claude_init::user {

enum class NewPrivileges {
  forbid,
  allow
};  // forbid: PR_SET_NO_NEW_PRIVS, so sudo and setuid programs do nothing

/// Whether we hold CAP_SETUID and CAP_SETGID: all that it takes to become another user.
[[nodiscard]] bool can_change_user();

/// The steps that make a forked child become `account`: supplementary groups, gid, uid, bounding and ambient
/// capability sets where allowed, no_new_privs; then verifies that there is no way back to root. Prepared
/// before fork; the returned function is called in the child between fork and exec, is async-signal-safe, and
/// returns 0 or the errno that stopped it. Where we are that account already it only sets no_new_privs.
/// A drop that cannot be done completely is a failure: nothing runs with more than was asked for. Only the
/// bounding set stays where we lack CAP_SETPCAP; with no_new_privs nothing can draw on it. Where new
/// privileges are allowed it stays too, or sudo would give a root that can do nothing.
/// On a terminal, who becomes another user cannot type into it (typing.h); where new privileges are allowed,
/// only with CAP_SYS_ADMIN, which root has where a terminal outlives us.
[[nodiscard]] std::function<int()> drop_to(const Account& account, NewPrivileges new_privileges);

/// The same for a helper of ours that handles tokens (the renewing CLI), one way wherever and as whom it is
/// started: no capabilities and an empty bounding set also where it stays who we are (root in a store of
/// root's), never a core dump.
[[nodiscard]] std::function<int()> drop_to_helper(const Account& account);

/// From here on root has no more than it needs until the command ends: CAP_SETUID and CAP_SETGID to act as
/// the owners of trees and to start others as them, CAP_KILL to signal the command. What can be gained by
/// exec goes too (the bounding set), unless the command may gain privileges. Does nothing where the command
/// runs as who we are: it gets what we have.
void keep_least(const Account& account, NewPrivileges new_privileges);

/// Gives our standard streams, where they are terminals or pipes, to `account`, so that it can open
/// /dev/stdout and /proc/self/fd/2 (runc does the same for `--user`). Inside containers only: on a host the
/// terminal outlives us. Best effort.
void give_standard_streams(const Account& account);

}  // namespace claude_init::user
