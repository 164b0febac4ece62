#include "renew/schedule.h"

#include <algorithm>

namespace claude_init::renew {
namespace {

constexpr Milliseconds kMinute{60'000};
constexpr Milliseconds kLongest{30 * 60'000};
constexpr Milliseconds kSoonest{200};  // a renewal takes the CLI half a second to a second
constexpr Milliseconds kBusy{5'000};
constexpr unsigned kManyDoublings = 16;

Milliseconds doubled(Milliseconds time, unsigned times, Milliseconds most) {
  return std::min(time * (1 << std::min(times, kManyDoublings)), most);
}

/// What jitter adds to a time: a quarter at most.
Milliseconds spread(Milliseconds time, double jitter) {
  return Milliseconds(static_cast<std::int64_t>(static_cast<double>(time.count()) * jitter / 4));
}

}  // namespace

Milliseconds lead_of(const Deadlines& login, Milliseconds renew_before) {
  const Milliseconds lifetime(std::max<UnixMs>(login.expires_at - login.issued_at, 0));
  return std::min(renew_before, lifetime / 2);
}

UnixMs next_try(const Deadlines& login, const History& history, Milliseconds renew_before, UnixMs now,
                double jitter) {
  const Milliseconds lead = lead_of(login, renew_before);
  // Of a login that had expired when it was first seen nothing is known: as if it were one of the usual kind.
  const Milliseconds pace = lead.count() > 0 ? std::clamp(lead / 4, kSoonest, kMinute) : kMinute;
  if (history.busy > 0) {
    const Milliseconds pause = doubled(std::min(pace / 2, kBusy), history.busy - 1, kBusy);
    return now + (pause + spread(pause, jitter)).count();
  }
  if (history.failures == 0) return login.expires_at - (lead - spread(lead, jitter)).count();
  Milliseconds pause = doubled(pace, history.failures - 1, kLongest);
  pause += spread(pause, jitter);
  // A clock that was set back must not put it off.
  const UnixMs last = std::min(history.last_failure, now);
  const Milliseconds left(login.expires_at - last);
  if (left.count() > 0) pause = std::max(std::min(pause, left / 2), std::min(pace, left));
  return last + pause.count();
}

}  // namespace claude_init::renew
