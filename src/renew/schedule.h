#pragma once

#include "base/time.h"

/// When a login is renewed. Pure: no clock of its own. All times are wall clock, so a clock that is set, or a
/// machine that slept, only needs the same question asked again.
namespace claude_init::renew {

/// What is known of the login in the store.
struct Deadlines {
  UnixMs expires_at = 0;  // of the access token; 0: unknown, which counts as passed
  UnixMs issued_at = 0;   // when it was put there, or first seen
};

/// What happened to it so far.
struct History {
  unsigned failures = 0;  // renewals of this login that changed nothing, one after another
  UnixMs last_failure = 0;
  unsigned busy = 0;  // times that another process was found renewing, one after another
};

/// How long before expiry a renewal is due: `renew_before`, or half the token's lifetime if that is less.
[[nodiscard]] Milliseconds lead_of(const Deadlines& login, Milliseconds renew_before);

/// The next try.
/// - The first: lead_of() before expiry, later by `jitter` (0 to 1) of a quarter of that, so that of many who
///   may renew one does and the others find it done.
/// - After failures: a minute later, doubled with each, half an hour at most, and longer by `jitter` of a
///   quarter. While the token is still valid never more than half of what is left of it, so that the last
///   tries come before its end. For a token so short-lived that a quarter of its lead is less than a minute,
///   that takes the minute's place.
/// - While another process renews: soon, since a renewal that fails or is killed leaves no sign in the store,
///   and within 7 s however long that goes on: only looks less than two heartbeats apart find out that a
///   lease's holder is gone (lock/lease.h).
/// May lie in the past: then it is due.
[[nodiscard]] UnixMs next_try(const Deadlines& login, const History& history, Milliseconds renew_before,
                              UnixMs now, double jitter);

}  // namespace claude_init::renew
