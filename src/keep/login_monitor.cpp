#include "keep/login_monitor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "store/inspect.h"

namespace claude_init::keep {
namespace {

using login::State;

constexpr std::array<std::int64_t, 3> kNotices{7 * kDay, 3 * kDay, 1 * kDay};
constexpr std::size_t kEventsKept = 20;
// An access token that has ended is renewed within seconds where it can be: when a keeper starts, a machine
// wakes up, a store comes back.
constexpr std::int64_t kRenewalPatience = 5 * kMinute;
// Others hold a lock for a capture, or for a renewal: for as long as the CLI takes.
constexpr std::int64_t kLockPatience = 5'000;

/// What a person cares about.
enum class Condition { works, waits, dead, none };

State outcome_of(const store::Inspection& seen) {
  return seen.state == State::usable && seen.renewal_rejected ? State::dead : seen.state;
}

Condition condition_of(const store::Inspection& seen) {
  switch (outcome_of(seen)) {
    case State::usable:
      return Condition::works;
    case State::renewable:
      return Condition::waits;
    case State::dead:
    case State::expired:
      return Condition::dead;
    default:
      return Condition::none;
  }
}

std::string whose(const store::Inspection& seen) {
  if (!seen.email.empty()) return printable(seen.email);
  const std::string& account = seen.login ? seen.login->account_uuid : std::string();
  return account.empty() ? "an account without a name in it" : printable(account);
}

/// "its access token is valid until …", or that it has ended.
std::string validity(const store::Inspection& seen, UnixMs now) {
  if (!seen.login) return "there is no access token";
  const UnixMs end = seen.login->expires_at;
  return fmt::format("its access token {} {}", end > now ? "is valid until" : "ended on", format_utc(end));
}

}  // namespace

std::string_view name_of(Change change) {
  constexpr std::array<std::string_view, 8> kNames{"usable", "unusable", "renewed",   "failing",
                                                   "dead",   "expiring", "recovered", "account-changed"};
  return kNames[static_cast<std::size_t>(change)];
}

void LoginMonitor::add(std::vector<Event>& news, UnixMs now, Change change, std::string text,
                       std::string remedy) {
  Event event{now, change, std::move(text), std::move(remedy)};
  events_.push_front(event);
  if (events_.size() > kEventsKept) events_.pop_back();
  news.push_back(std::move(event));
}

std::vector<Event> LoginMonitor::observe(store::Inspection seen, UnixMs now) {
  std::vector<Event> news;
  remember_rejection(seen);
  const store::Inspection before = std::exchange(seen_, std::move(seen));
  compare(before, news, now);
  looked_ = true;
  warn_of_waiting(news, now);
  warn_of_end(news, now);
  return news;
}

/// The store says it itself, unless that could not be written.
void LoginMonitor::remember_rejection(store::Inspection& seen) {
  const auto end = seen.login ? std::optional(seen.login->expires_at) : std::nullopt;
  const auto end_before = seen_.login ? std::optional(seen_.login->expires_at) : std::nullopt;
  if (std::exchange(just_rejected_, false) && end == end_before) rejected_ = end;
  if (!end) return;
  if (rejected_ != end) return rejected_.reset();
  seen.renewal_rejected = true;
  if (seen.state == State::renewable) seen.state = State::dead;
}

// 1. Another account's login is reported first: what follows is about that one.
// 2. There is none that works, or will: each is reported once. One that the server has rejected is dead
// although
//    its access token works for a while.
// 3. One that works, when there was none before.
// 4. It worked before: a later access token of the same account is told as a renewal where it is one of ours;
//    else somebody may have logged in again.
void LoginMonitor::compare(const store::Inspection& before, std::vector<Event>& news, UnixMs now) {
  const Condition condition = condition_of(seen_);
  const Condition condition_before = condition_of(before);
  const bool by_us = std::exchange(just_renewed_, false);
  // 1.
  const std::string account = seen_.login ? seen_.login->account_uuid : std::string();
  const bool another = !account.empty() && !account_.empty() && account != account_;
  if (!account.empty()) account_ = account;
  if (another) {
    add(news, now, Change::account_changed, fmt::format("the login is now that of {}", whose(seen_)));
    warned_ = INT64_MAX;
    fails_no_more();
  }
  // 2.
  if (condition == Condition::dead) {
    fails_no_more();
    broken_ = true;
    if (looked_ && condition_before == Condition::dead) return;
    return add(news, now, Change::dead, why_dead(now), remedy(now));
  }
  rejection_.clear();
  if (condition == Condition::none) {
    fails_no_more();  // there is nothing to renew
    broken_ = true;
    if (looked_ && before.state == seen_.state) return;
    health::Context context = context_;
    context.now = now;
    return add(news, now, Change::unusable, health::explain(seen_, context).headline, remedy(now));
  }
  if (condition == Condition::waits) return;
  // 3.
  const bool was_broken = std::exchange(broken_, false);
  if (was_broken || !looked_) {
    fails_no_more();
    return add(news, now, looked_ ? Change::recovered : Change::usable,
               fmt::format("the login of {} works; {}", whose(seen_), validity(seen_, now)));
  }
  // 4.
  if (!another && before.login && seen_.login && seen_.login->expires_at > before.login->expires_at) {
    last_renewal_ = now;
    const bool was_failing = failing_since_.has_value();
    fails_no_more();
    add(news, now, was_failing ? Change::recovered : Change::renewed,
        fmt::format("{}; {}",
                    by_us ? "the login has been renewed"
                          : "the login has a new access token: renewed elsewhere, or from a new login",
                    validity(seen_, now)));
  }
}

login::State LoginMonitor::outcome() const {
  return outcome_of(seen_);
}

std::string LoginMonitor::remedy(UnixMs now) const {
  switch (condition_of(seen_)) {
    case Condition::works:
    case Condition::waits:
      return "";
    case Condition::dead:
      return context_.setup_command;
    case Condition::none:
      break;
  }
  if (seen_.state != State::unreadable && seen_.state != State::no_store) return context_.setup_command;
  health::Context context = context_;
  context.now = now;
  const auto remedies = health::explain(seen_, context).remedies;
  return remedies.empty() ? context_.setup_command : fmt::format("{}", fmt::join(remedies, "; "));
}

bool LoginMonitor::has_ended_normally(UnixMs now) const {
  const bool accepted = seen_.login && (seen_.login->blanked || !seen_.login->scopes.empty());
  return accepted && condition_of(seen_) == Condition::dead && login::has_ended(*seen_.login, now);
}

/// Its normal end, which every login comes to; what the CLI does not accept, or nothing can renew; what the
/// server has rejected.
std::string LoginMonitor::why_dead(UnixMs now) const {
  if (has_ended_normally(now)) {
    return fmt::format("the login has expired, as each does after about four weeks: nothing is broken{}",
                       seen_.state == State::usable ? "; " + validity(seen_, now) : "");
  }
  if (seen_.state == State::expired) {
    health::Context context = context_;
    context.now = now;
    return health::explain(seen_, context).headline;
  }
  const std::string_view usual = seen_.renewal_burnt
                                     ? "a renewal spent its refresh token and did not save the new one"
                                     : "the server has rejected it";
  const std::string why = rejection_.empty() ? std::string(usual) : printable(rejection_);
  return seen_.state == State::usable ? fmt::format("the login is dead: {}; {}", why, validity(seen_, now))
                                      : fmt::format("the login is dead: {}", why);
}

std::vector<Event> LoginMonitor::tried(const renew::Outcome& outcome, UnixMs now) {
  using Kind = renew::Outcome::Kind;
  std::vector<Event> news;
  if (outcome.kind != Kind::busy) {
    waiting_.reset();
    told_waiting_ = false;
  }
  if (outcome.kind == Kind::not_due) return news;
  if (outcome.kind == Kind::busy) {
    if (!waiting_ || waiting_->since > now) waiting_ = Waiting{now, {}};
    waiting_->reason = printable(outcome.reason);
    if (!failing_since_) obstacle_ = {printable(outcome.reason), outcome.remedy};
    return news;
  }
  if (outcome.kind == Kind::renewed) {
    renewals_ += 1;
    just_renewed_ = true;
    return news;
  }
  failures_[std::string(outcome.cause)] += 1;
  if (outcome.kind == Kind::rejected) {
    rejection_ = outcome.reason + (outcome.remedy.empty() ? "" : "; " + outcome.remedy);
    just_rejected_ = true;
    return news;
  }
  const Condition condition = condition_of(seen_);
  const bool may_live = condition == Condition::works || condition == Condition::waits;
  if (!may_live) return news;
  obstacle_ = {printable(outcome.reason), outcome.remedy, outcome.kind != Kind::refused};
  causes_.emplace(outcome.cause);
  if (failing_since_) return news;
  failing_since_ = now;
  add(news, now, Change::failing,
      outcome.kind == Kind::refused
          ? fmt::format("the login is not renewed from here: {}; {}", obstacle_.reason, validity(seen_, now))
          : fmt::format("the login could not be renewed, retrying: {}; {}", obstacle_.reason,
                        validity(seen_, now)),
      outcome.remedy);
  return news;
}

bool LoginMonitor::begins_to_wait(UnixMs now) {
  if (!waiting_ || told_waiting_ || now - waiting_->since < kLockPatience) return false;
  told_waiting_ = true;
  return true;
}

bool LoginMonitor::is_another_cause(const renew::Outcome& outcome) const {
  using Kind = renew::Outcome::Kind;
  const bool counted = outcome.kind == Kind::failed || outcome.kind == Kind::refused;
  return counted && failing_since_ && !causes_.contains(outcome.cause);
}

std::vector<Event> LoginMonitor::published(Obstacle why, UnixMs now) {
  std::vector<Event> news;
  const bool failed = !why.reason.empty();
  const bool failed_before = !unpublished_.reason.empty();
  if (!failed || !failed_before) unpublished_ = std::move(why);
  if (failed == failed_before) return news;
  if (failed) {
    add(news, now, Change::failing,
        fmt::format("the login cannot be published, retrying: {}", printable(unpublished_.reason)),
        unpublished_.remedy);
  } else {
    add(news, now, Change::recovered, "the login is published again");
  }
  return news;
}

/// Of one that waits for a renewal this tells nothing: that renewal will.
std::vector<Event> LoginMonitor::allowed(UnixMs now) {
  std::vector<Event> news;
  if (!failing_since_ || obstacle_.again) return news;
  obstacle_.again = true;
  if (condition_of(seen_) != Condition::works) return news;
  fails_no_more();
  add(news, now, Change::recovered,
      fmt::format("the login can be renewed from here again; {}", validity(seen_, now)));
  return news;
}

void LoginMonitor::fails_no_more() {
  failing_since_.reset();
  obstacle_ = {};
  causes_.clear();
}

/// That nobody has renewed it is a failure too, though none was counted: this keeper may not, or somebody
/// holds the lock and does nothing.
void LoginMonitor::warn_of_waiting(std::vector<Event>& news, UnixMs now) {
  if (failing_since_ && *failing_since_ > now) failing_since_ = now;  // the clock was set back
  if (condition_of(seen_) != Condition::waits) return waits_since_.reset();
  if (!waits_since_ || *waits_since_ > now) waits_since_ = now;
  if (failing_since_ || now - *waits_since_ < kRenewalPatience) return;
  failing_since_ = waits_since_;
  if (!renews_) {
    obstacle_ = {"this keeper does not renew (--renew=never)",
                 "renew it elsewhere, or start the keeper without --renew=never", false};
  }
  add(news, now, Change::failing,
      fmt::format("the access token expired on {} and has not been renewed{}{}",
                  format_utc(seen_.login->expires_at), obstacle_.reason.empty() ? "" : ": ",
                  obstacle_.reason),
      obstacle_.remedy);
}

void LoginMonitor::warn_of_end(std::vector<Event>& news, UnixMs now) {
  const Condition condition = condition_of(seen_);
  const bool lives = condition == Condition::works || condition == Condition::waits;
  if (!lives || !seen_.login || !seen_.login->refresh_expires_at) return;
  const std::int64_t left = *seen_.login->refresh_expires_at - now;
  if (left > kNotices.front()) warned_ = INT64_MAX;  // a new login
  std::int64_t notice = INT64_MAX;                   // the shortest that is due
  for (const std::int64_t each : kNotices) {
    if (left <= each) notice = each;
  }
  if (notice >= warned_) return;
  warned_ = notice;
  add(news, now, Change::expiring,
      left > 0 ? fmt::format("the login itself expires in {}, on {}", format_duration(left),
                             format_utc(*seen_.login->refresh_expires_at))
               : fmt::format("the login itself expired on {}; {}",
                             format_utc(*seen_.login->refresh_expires_at), validity(seen_, now)),
      context_.setup_command);
}

std::optional<UnixMs> LoginMonitor::next_look(UnixMs now) const {
  std::optional<UnixMs> next;
  if (!seen_.login) return next;
  const auto consider = [&](UnixMs time) {
    if (time > now && (!next || time < *next)) next = time;
  };
  consider(seen_.login->expires_at);
  if (waits_since_ && !failing_since_) consider(*waits_since_ + kRenewalPatience);
  if (const auto end = seen_.login->refresh_expires_at) {
    consider(*end);
    for (const std::int64_t notice : kNotices) consider(*end - notice);
  }
  return next;
}

}  // namespace claude_init::keep
