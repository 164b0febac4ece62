#pragma once

#include <string_view>

#include "base/result.h"
#include "login/login.h"

namespace claude_init {

/// Exit statuses of our own, in the range that sysexits.h uses and that neither the CLI nor a shell gives.
/// Everything else is the supervised command's: its status, 128+n when signal n ended it, 126 when it could
/// not be executed, 127 when it was not found.
enum ExitStatus : int {
  kExitOk = 0,
  kExitUnhealthy = 1,        // health only: Docker knows 0 and 1
  kExitUsage = 64,           // wrong command line or setting
  kExitLoginMalformed = 65,  // .credentials.json is empty, cut off or not what the CLI writes
  kExitNoStore = 66,         // no store, or what is mounted is not one
  kExitNotLoggedIn = 67,     // there is no login
  kExitLoginExpired = 68,    // there is one, and it cannot be used any more
  kExitNoPlace = 69,         // no place for a working copy
  kExitInternal = 70,        // a fault of ours
  kExitSystem = 71,          // the system refused something that has no status of its own
  kExitStoreFull = 72,
  kExitStoreReadOnly = 73,
  kExitIo = 74,
  kExitStoreBusy = 75,
  kExitLoginKeptOut = 76,  // a login that could be used was not saved: the store's is better
  kExitPermission = 77,
};

/// The statuses of a command that could not be executed, as a shell has them.
inline constexpr int kExitCannotExecute = 126;
inline constexpr int kExitNotFound = 127;

/// The status for a failure while a store was read or written.
[[nodiscard]] int exit_status_of(const Error& error);

/// The status for a login that cannot be used; kExitOk for usable and renewable.
[[nodiscard]] int exit_status_of(login::State state);

/// The status of `health --detailed-exit-code`: each state has one of its own, and so has a usable login with
/// which the CLI got no answer (kExitNoAnswer).
[[nodiscard]] int exit_code_of(login::State state);
inline constexpr int kExitNoAnswer = 18;

/// The statuses of `renew`, where it did not renew.
inline constexpr int kExitNotAsked = 20;       // the server was not asked; nothing was spent
inline constexpr int kExitNoNewToken = 21;     // it was asked, and gave no usable answer
inline constexpr int kExitLoginRejected = 22;  // it does not renew this login any more
inline constexpr int kExitLoginBurnt = 23;  // a renewal spent the refresh token and did not save the new one
inline constexpr int kExitNotRenewedHere = 24;  // a copied store, or one without refresh token

/// The status for what became of a captured login: kExitOk where it is in the store now, else why it is not.
[[nodiscard]] int exit_status_of(const login::Verdict& verdict);

/// The name of a failure with this status, as messages print it and docs/runbook.md has it for a heading;
/// "" where the status is not one of ours.
[[nodiscard]] std::string_view name_of_exit_status(int status);

}  // namespace claude_init
