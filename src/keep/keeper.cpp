#include "keep/keeper.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "fs/mounts.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/generations.h"
#include "store/inspect.h"
#include "store/layout.h"
#include "store/provenance.h"
#include "ui/remedies.h"

namespace claude_init::keep {
namespace {

constexpr Milliseconds kInterval{2000};        // between two looks where inotify cannot know
constexpr std::int64_t kFarAway = 365 * kDay;  // nothing is due, but the clock may be set
// A store that cannot be written may become writable without an event: by a remount, its mode, its server.
constexpr std::int64_t kRefusedAgain = 10 * kMinute;
constexpr std::int64_t kUnsettledAgain = 10'000;  // another process has the lock, or a CLI is at its login
// A store that cannot be read for the moment (no descriptors, no memory, its disk).
constexpr std::int64_t kUnknownAgain = 2000;
constexpr std::int64_t kUnknownAtMost = kMinute;

/// The monitor gets each outcome, and knows which are news.
renew::Renewer::Options with_monitor(renew::Renewer::Options renewal, const std::string& store,
                                     std::function<void(const renew::Outcome&)> on_outcome) {
  renewal.store = store;
  renewal.on_outcome = std::move(on_outcome);
  return renewal;
}

/// Why the login may not be renewed from here, where the store shows that before it is due. Another kind than
/// `refused`: that is not known now.
std::optional<renew::Outcome> why_refused(const store::Inspection& seen, const store::StoreOptions& how) {
  if (seen.is_shut()) {
    return renew::Outcome{renew::Outcome::Kind::refused, "the store is sealed, and this keeper has no key",
                          "name the key's file: --seal-key FILE; a keeper that only publishes: --renew=never",
                          "sealed"};
  }
  if (const std::string problem = store::why_not_writable(seen); !problem.empty()) {
    return renew::Outcome{
        renew::Outcome::Kind::refused, problem,
        "mount it so that it can be written, and " +
            (fs::in_container() ? ui::how_to_run_as(seen.owner)
                                : "run as its owner, uid " + std::to_string(seen.owner.uid)),
        "read-only"};
  }
  const auto store = store::Store::open(seen.path, how);
  if (!store) return renew::Outcome{renew::Outcome::Kind::failed, store.error().message(), {}, "store"};
  return renew::check_home(*store);
}

/// Whether there is something to renew; not of a login that has ended, whatever tokens it has.
bool may_be_renewed(const store::Inspection& seen) {
  const bool lives = seen.state == login::State::usable || seen.state == login::State::renewable;
  const bool renewable = seen.login && (seen.login->has_refresh_token || seen.is_shut());
  return lives && renewable && !login::has_ended(*seen.login, unix_now());
}

loop::FileWatch::Options file_in(const std::string& directory, std::string_view name, fs::Identity who,
                                 std::function<void()> on_change) {
  return {directory, std::string(name), who, false, kInterval, std::move(on_change)};
}

std::string refusal_name(const renew::Outcome& refusal, UnixMs expires_at) {
  return fmt::format("{} {}", refusal.cause, expires_at);
}

}  // namespace

Keeper::Keeper(const supervise::Loop& loop, loop::Inotify& inotify, Options options, Tell tell)
    : loop_(loop),
      inotify_(inotify),
      options_(std::move(options)),
      on_event_(std::move(tell)),
      monitor_(options_.name, {}, options_.renews),
      timer_(loop.io),
      how_(options_.renewal.how) {
  const auto add = [&](const std::string& directory, login::Withheld withheld) {
    if (directory.empty()) return;
    outlets_.emplace_back(loop.io, inotify,
                          Outlet::Options{options_.store, directory, withheld, options_.take_over(directory)},
                          how_, publishing_, [this] { published(); });
  };
  add(options_.publish, login::Withheld::refresh_tokens);
  add(options_.placeholder, login::Withheld::all_tokens);
}

void Keeper::start() {
  watch(inspect(unix_now()).owner);
  check_now();
}

store::Inspection Keeper::inspect(UnixMs now) {
  store::Inspection seen = store::inspect(options_.store, now, how_);
  if (!how_.owner && seen.mode != 0 && seen.state != login::State::no_store) how_.owner = seen.owner.uid;
  return seen;
}

Result<store::Store> Keeper::open_store() const {
  return store::Store::open(options_.store, how_);
}

void Keeper::stop() {
  stopped_ = true;
  timer_.cancel();
  for (Outlet& outlet : outlets_) outlet.stop();
  if (renewer_) renewer_->stop();
}

void Keeper::finish(const Deadline& deadline) {
  for (Outlet& outlet : outlets_) outlet.finish(deadline);
}

Shown Keeper::shown() const {
  Shown shown;
  shown.record = &monitor_;
  shown.captures = captures_;
  if (renewer_) {
    shown.next_renewal = renewer_->next();
    if (const auto& version = renewer_->cli_version()) shown.cli = cli::described(*version);
  }
  if (!outlets_.empty()) shown.publishing = &publishing_;
  return shown;
}

void Keeper::count_generations() {
  const auto store = open_store();
  const auto newest = store ? store::newest_generation(*store) : Result<std::uint64_t>(store.error());
  if (newest && *newest > 0) captures_ = *newest;
}

/// Sealed where it has to be (sync/settle.h). What cannot be done now is tried again, and said once.
void Keeper::settle(const store::Inspection& seen) {
  const bool can_be = !stopped_ && seen.state != login::State::no_store && why_not_writable(seen).empty();
  const auto store = can_be && how_.seal ? open_store() : Result<store::Store>(Error{});
  if (!store) return;
  const auto settled = renew::settle(*store, "keep", Milliseconds(0));
  const std::string why = settled ? std::string() : settled.error().message();
  const bool is_news = std::exchange(unsettled_, why) != why;
  if (!settled && is_news) {
    const bool busy = settled.error().kind == ErrorKind::busy;
    log::failure(busy ? log::Level::info : log::Level::warn, settled.error());
  }
}

/// 1. The store as it is now; its owner may have changed with it.
/// 2. What of it is news.
/// 3. The renewal of the login that it has, and its publication, where that could not begin before.
/// 4. The next look.
void Keeper::check_now() {
  // 1.
  const UnixMs now = unix_now();
  store::Inspection seen = inspect(now);
  if (is_unknown_for_now(seen, now)) return;
  settle(seen);
  const bool exists = seen.state != login::State::no_store;
  if (exists && seen.mode != 0 && seen.owner != owner_) {
    boost::asio::post(loop_.io, [this, owner = seen.owner] {  // we are in a watch's call
      if (owner == owner_) return;
      watch(owner);
      check_now();  // events of the watches before are lost
    });
  }
  // 2.
  monitor_.know(options_.context(seen));
  notify(monitor_.observe(seen, now));
  if (stopped_) return;
  // 3.
  renew_where_we_may(seen);
  if (exists) watch_generations();
  if (exists) {
    for (Outlet& outlet : outlets_) outlet.start_if_needed();
  }
  // 4.
  const UnixMs next = monitor_.next_look(now).value_or(now + kFarAway);
  const bool refused = !refused_.empty() && may_be_renewed(seen);
  const UnixMs again = !unsettled_.empty() ? now + kUnsettledAgain : refused ? now + kRefusedAgain : next;
  const auto armed = timer_.at(std::min(next, again), [this] { check_now(); });
  if (!armed) log::failure(log::Level::warn, armed.error());
}

/// An error of this moment is no news, unless it lasts: then it is looked again.
bool Keeper::is_unknown_for_now(const store::Inspection& seen, UnixMs now) {
  if (!seen.is_for_now) {
    unknown_since_ = 0;
    return false;
  }
  if (unknown_since_ == 0 || unknown_since_ > now) {
    log::info("the store cannot be read for the moment",
              {{"store", options_.name}, {"reason", seen.problem}});
    unknown_since_ = now;
  }
  if (stopped_ || now - unknown_since_ >= kUnknownAtMost) return false;
  const auto armed = timer_.at(now + kUnknownAgain, [this] { check_now(); });
  if (!armed) log::failure(log::Level::warn, armed.error());
  return true;
}

void Keeper::watch(fs::Identity owner) {
  owner_ = owner;
  identity_.reset();
  generations_.reset();
  login_.emplace(loop_.io, inotify_,
                 file_in(options_.store, store::kCredentials, owner, [this] { check_now(); }));
  settings_.emplace(loop_.io, inotify_,
                    file_in(options_.store, store::kClaudeJson, owner, [this] { check_now(); }));
  login_->start();
  settings_->start();
}

/// Each is made under the same name. A store in which nothing was captured has none, and no place for them.
void Keeper::watch_generations() {
  if (!generations_) {
    const std::string own = fs::join(options_.store, store::kPrivateDir);
    const fs::ActAs as(owner_);
    if (fs::access_by_rights(AT_FDCWD, own, X_OK) != 0) return;
    generations_.emplace(loop_.io, inotify_,
                         file_in(fs::join(own, store::kGenerations), store::kUnfinishedGeneration, owner_,
                                 [this] { count_generations(); }));
    generations_->start();
  }
  count_generations();
}

/// 1. Reports a store that may not be renewed from here, and when it may again.
/// 2. The renewer, from when it may the first time.
void Keeper::renew_where_we_may(const store::Inspection& seen) {
  // 1.
  if (!options_.renews || seen.state == login::State::no_store) return watch_identity(false);
  const auto refusal = why_refused(seen, how_);
  const bool refused = refusal && refusal->kind == renew::Outcome::Kind::refused;
  if (!may_be_renewed(seen)) {
    watch_identity(false);
  } else if (refused || !refusal) {
    mind_refusal(refusal, seen.login->expires_at);
  }
  // 2.
  if (!refused && !renewer_) {
    renew::Renewer::Options renewal = options_.renewal;
    renewal.how = how_;
    renewal.keeps = true;
    renewer_.emplace(loop_, with_monitor(std::move(renewal), options_.store,
                                         [this](const renew::Outcome& outcome) { renewed(outcome); }));
  }
  if (renewer_) renewer_->check_now();
}

/// What the renewer has come to; a refusal that it met first is not told, and counted, a second time by
/// check_now().
void Keeper::renewed(const renew::Outcome& outcome) {
  const auto& login = monitor_.seen().login;
  if (outcome.kind == renew::Outcome::Kind::refused && login)
    refused_ = refusal_name(outcome, login->expires_at);
  tried(outcome);
  check_now();
}

/// A refusal is news once for each access token, as a renewal that failed. It is remembered while the store
/// is away or has no login: the renewer, which has given up, is owed another try.
void Keeper::mind_refusal(const std::optional<renew::Outcome>& refusal, UnixMs expires_at) {
  watch_identity(refusal && refusal->cause == "copied");
  if (!refusal && refused_.empty()) return;
  const std::string what = refusal ? refusal_name(*refusal, expires_at) : std::string();
  if (std::exchange(refused_, what) == what) return;
  if (refusal) return tried(*refusal);
  notify(monitor_.allowed(unix_now()));
  if (renewer_) renewer_->try_again();
}

/// `setup --adopt` writes the identity anew, and nothing else that we watch.
void Keeper::watch_identity(bool wanted) {
  if (wanted == identity_.has_value()) return;
  boost::asio::post(loop_.io, [this, wanted] {  // we may be in its call
    if (!wanted) return identity_.reset();
    if (stopped_) return;
    identity_.emplace(loop_.io, inotify_,
                      file_in(fs::join(options_.store, store::kPrivateDir), store::kIdentity, owner_,
                              [this] { check_now(); }));
    identity_->start();
    check_now();  // what was adopted before
  });
}

void Keeper::tried(const renew::Outcome& outcome) {
  if (monitor_.is_another_cause(outcome)) {
    log::warn("the login could not be renewed for another reason",
              {{"store", options_.name}, {"reason", outcome.reason}, {"do", outcome.remedy}});
  }
  notify(monitor_.tried(outcome, unix_now()));
  if (monitor_.begins_to_wait(unix_now()))
    log::warn("waiting for a lock", {{"store", options_.name}, {"reason", monitor_.waiting()->reason}});
}

void Keeper::notify(const std::vector<Event>& news) {
  for (const Event& event : news) on_event_(*this, event);
}

/// The first of what keeps jobs from their login.
void Keeper::published() {
  const auto failing = std::find_if(outlets_.begin(), outlets_.end(),
                                    [](const Outlet& outlet) { return !outlet.obstacle().reason.empty(); });
  notify(monitor_.published(failing == outlets_.end() ? Obstacle{} : failing->obstacle(), unix_now()));
}

}  // namespace claude_init::keep
