#include "ui/exit_status.h"

#include <algorithm>
#include <array>

namespace claude_init {
namespace {

struct Name {
  int status;
  std::string_view name;
};

// clang-format off
constexpr std::array kNames{
    Name{kExitNotAsked,       "not-asked"},
    Name{kExitNoNewToken,     "no-new-token"},
    Name{kExitLoginRejected,  "login-rejected"},
    Name{kExitLoginBurnt,     "login-burnt"},
    Name{kExitNotRenewedHere, "not-renewed-here"},
    Name{kExitUsage,          "usage"},
    Name{kExitLoginMalformed, "login-malformed"},
    Name{kExitNoStore,        "no-store"},
    Name{kExitNotLoggedIn,    "not-logged-in"},
    Name{kExitLoginExpired,   "login-expired"},
    Name{kExitNoPlace,        "no-place"},
    Name{kExitInternal,       "internal"},
    Name{kExitSystem,         "system"},
    Name{kExitStoreFull,      "store-full"},
    Name{kExitStoreReadOnly,  "store-read-only"},
    Name{kExitIo,             "io"},
    Name{kExitStoreBusy,      "store-busy"},
    Name{kExitLoginKeptOut,   "login-kept-out"},
    Name{kExitPermission,     "permission"},
    Name{kExitCannotExecute,  "cannot-execute"},
    Name{kExitNotFound,       "command-not-found"},
};
// clang-format on

}  // namespace

std::string_view name_of_exit_status(int status) {
  const auto* const found =
      std::find_if(kNames.begin(), kNames.end(), [&](const Name& each) { return each.status == status; });
  return found == kNames.end() ? std::string_view() : found->name;
}

int exit_status_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::usage:
      return kExitUsage;
    case ErrorKind::not_found:
      return kExitNoStore;
    case ErrorKind::permission:
      return kExitPermission;
    case ErrorKind::read_only:
      return kExitStoreReadOnly;
    case ErrorKind::no_space:
      return kExitStoreFull;
    case ErrorKind::no_place:
      return kExitNoPlace;
    case ErrorKind::busy:
      return kExitStoreBusy;
    case ErrorKind::invalid:
      return kExitNoStore;
    case ErrorKind::io:
      return kExitIo;
    case ErrorKind::limit:
    case ErrorKind::interrupted:
    case ErrorKind::system:
      return kExitSystem;
  }
  return kExitInternal;
}

int exit_status_of(login::State state) {
  switch (state) {
    case login::State::usable:
    case login::State::renewable:
      return kExitOk;
    case login::State::expired:
    case login::State::dead:
      return kExitLoginExpired;
    case login::State::missing:
      return kExitNotLoggedIn;
    case login::State::empty:
    case login::State::malformed:
      return kExitLoginMalformed;
    case login::State::unreadable:
      return kExitPermission;
    case login::State::no_store:
      return kExitNoStore;
  }
  return kExitInternal;
}

int exit_code_of(login::State state) {
  constexpr int kFirst = 10;  // of those that are not usable, in their order; `health --help` lists them
  return state == login::State::usable ? kExitOk : kFirst - 1 + static_cast<int>(state);
}

int exit_status_of(const login::Verdict& verdict) {
  if (verdict.choice == login::Choice::take || verdict.choice == login::Choice::same) return kExitOk;
  const int status = exit_status_of(verdict.source_state);
  return status == kExitOk ? kExitLoginKeptOut : status;
}

}  // namespace claude_init
