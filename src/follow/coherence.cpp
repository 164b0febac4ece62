#include "follow/coherence.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/interrupt.h"
#include "log/log.h"
#include "login/login.h"

namespace claude_init::follow {
namespace {

constexpr Milliseconds kOneHour{60 * 60 * 1000};
constexpr Milliseconds kLastMinutes{5 * 60 * 1000};

}  // namespace

Coherence::Coherence(boost::asio::io_context& io, Options options)
    : options_(std::move(options)),
      follows_(options_.filter.captures(store::kCredentials)),
      inotify_(io),
      follower_(
          io, inotify_,
          {options_.store, options_.state, options_.who, options_.refresh_token,
           warns_early() ? kOneHour : kLastMinutes, [this](UnixMs expires_at) { say_how_long(expires_at); },
           options_.on_store_change, options_.how}),
      checkpoint_(
          io, inotify_,
          {options_.state, options_.who, options_.filter, options_.checkpoint, true,
           [this] { return save_login(Milliseconds(0), {}); },
           options_.captured && options_.save ? [this](SteadyTime deadline) { return save_rest(deadline); }
                                              : std::function<Saved(SteadyTime)>()}) {}

void Coherence::begin() {
  if (follows_) follower_.begin();
  if (warns_early() && follower_.expires_at() > unix_now()) say_how_long(follower_.expires_at());
}

void Coherence::start() {
  if (follows_) follower_.start();
  checkpoint_.start();
}

void Coherence::check_now() {
  if (follows_) static_cast<void>(follower_.check_now());
}

bool Coherence::warns_early() const {
  return !options_.why_not.empty() && options_.renewed == Options::Renewed::nobody_knows;
}

Result<void> Coherence::finish(Milliseconds wait, const Deadline& deadline) {
  if (save_login(wait, deadline) != Saved::done && failure_) return *failure_;
  return Done{};
}

/// 1. What the store has goes first.
/// 2. A login that is not from there stays where it is unless the session is trusted: said once, for a job
///    can make any number of them.
/// 3. Else it is the store's to judge; `.claude.json` beside it is captured with it.
Coherence::Saved Coherence::save_login(Milliseconds wait, const Deadline& deadline) {
  // 1.
  const bool made_here = follows_ && follower_.check_now();
  // 2.
  if (!options_.save) {
    if (made_here) say_not_saved(options_.why_not_saved.empty() ? options_.why_not : options_.why_not_saved);
    return Saved::done;
  }
  // 3.
  if (!made_here) said_.clear();
  Save save;
  save.given_access_token = follower_.given_access_token().reveal();
  save.deadline = deadline;
  save.wait = wait;
  const auto report = options_.save(save);
  if (!report) return failed(report.error());
  saved(*report, made_here);
  return Saved::done;
}

Coherence::Saved Coherence::save_rest(SteadyTime deadline) {
  const bool made_here = follows_ && follower_.check_now();
  Save save;
  save.extent = store::Extent::all;
  save.given_access_token = follower_.given_access_token().reveal();
  save.deadline = interrupt::until(deadline);
  const auto report = options_.save(save);
  if (!report) return failed(report.error());
  saved(*report, made_here);
  return Checkpoint::saved(*report);
}

Coherence::Saved Coherence::failed(const Error& error) {
  failure_ = error;
  if (error.kind == ErrorKind::busy) return Saved::not_all;
  if (!std::exchange(failure_said_, true)) log::failure(log::Level::warn, error);
  return Saved::failed;
}

void Coherence::saved(const sync::CaptureReport& report, bool made_here) {
  if (std::exchange(failure_said_, false)) {
    log::warn("the store can be written again: what was made meanwhile is saved",
              {{"store", options_.store}});
  }
  failure_.reset();
  if (report.login.choice == login::Choice::take) {
    login_saved_ = true;
    follower_.adopted();
  } else if (made_here && report.login.choice == login::Choice::keep_store) {
    say_not_saved(report.login.reason);
  }
}

void Coherence::say_not_saved(const std::string& reason) {
  if (std::exchange(said_, reason) == reason) return;
  log::warn("a login that was made in this session was not saved and ends with it", {{"reason", reason}});
}

void Coherence::say_how_long(UnixMs expires_at) const {
  if (options_.renewed == Options::Renewed::here) return;
  const std::string until = fmt::format("the login can be used until {}, which is in {}",
                                        format_utc(expires_at), format_duration(expires_at - unix_now()));
  log::warn(options_.why_not.empty() ? until + "; no renewal has come"
                                     : until + "; it cannot be renewed from here: " + options_.why_not);
}

}  // namespace claude_init::follow
