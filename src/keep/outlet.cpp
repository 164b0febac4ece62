#include "keep/outlet.h"

#include <algorithm>
#include <utility>

#include "log/log.h"
#include "store/inspect.h"
#include "store/layout.h"
#include "store/published.h"
#include "store/state_file.h"
#include "sync/publish.h"

namespace claude_init::keep {
namespace {

constexpr Milliseconds kAgain{10'000};        // after it failed
constexpr Milliseconds kWatchInterval{2000};  // between two looks where inotify cannot know

}  // namespace

Outlet::Outlet(boost::asio::io_context& io, loop::Inotify& inotify, Options options,
               const store::StoreOptions& how, Publishing& counts, std::function<void()> on_change)
    : io_(io),
      inotify_(inotify),
      options_(std::move(options)),
      how_(how),
      counts_(counts),
      on_change_(std::move(on_change)),
      started_(unix_now()),
      again_(io, kAgain, kAgain, [this] { publish(); }) {}

void Outlet::start_if_needed() {
  if (!publisher_ && !again_.pending()) publish();
}

void Outlet::stop() {
  stopped_ = true;
  again_.cancel();
}

void Outlet::finish(const Deadline& deadline) {
  if (!publisher_) return;
  const auto published = publisher_->finish(deadline);
  if (!published) log::failure(log::Level::warn, published.error());
}

/// 1. The store, without which there is nothing to publish: the keeper comes again when it is there.
/// 2. The published one, which may have been replaced.
/// 3. All that there is, and from then on what changes.
void Outlet::publish() {
  if (stopped_) return;
  publisher_.reset();
  // 1.
  const auto store = store::Store::open(options_.store, how_);
  if (!store) return;
  // 2.
  auto into = sync::open_published(options_.directory, *store, {Milliseconds(0), options_.withheld, owner_});
  if (!into) return published(into.error());
  if (!owner_) owner_ = into->owner().uid;
  if (!login_) {
    login_.emplace(
        io_, inotify_,
        loop::FileWatch::Options{options_.directory, std::string(store::kCredentials), into->owner(), false,
                                 kWatchInterval, [this] { check_published(); }});
    login_->start();
  }
  // 3.
  follow::Publisher::Options options{options_.store, std::move(*into), options_.withheld};
  options.how = how_;
  options.wait = Milliseconds(0);
  options.on_outcome = [this](const auto& outcome) { published_change(outcome); };
  publisher_.emplace(io_, inotify_, std::move(options));
  published_change(publisher_->start());
}

/// What fails is said once, and the published store opened anew.
void Outlet::published(const Result<sync::CaptureReport>& outcome) {
  const bool failed_before = !obstacle_.reason.empty();
  if (outcome && outcome->login.choice == login::Choice::take) counts_.logins += 1;
  if (outcome) {
    if (!failed_before && told_jobs_) return;
    told_jobs_ = true;
    store::leave_word(options_.directory, "", store::owner_of(options_.store));
    obstacle_ = {};
    return on_change_();
  }
  again_.poke();
  Error error = outcome.error();
  if (failed_before || error.kind == ErrorKind::busy) return;
  if (error.kind == ErrorKind::permission && !options_.take_over.empty()) error.remedy = options_.take_over;
  store::leave_word(options_.directory, error.message() + '\n' + error.remedy + '\n',
                    store::owner_of(options_.store));
  obstacle_ = {error.message(), error.remedy};
  on_change_();
}

/// The store's file was put there when it changed: renaming it is a change of its inode.
void Outlet::published_change(const Result<sync::CaptureReport>& outcome) {
  published(outcome);
  if (!outcome || outcome->login.choice != login::Choice::take) return;
  const auto store = store::Store::open(options_.store, how_);
  if (!store) return;
  const store::StateFile login = store::read_state_file(store->tree(), store::kCredentials);
  if (!login.st) return;
  const UnixMs changed = unix_ms(login.st->st_ctim);
  if (changed < started_) return;  // it waited for a keeper, not for this one
  counts_.propagation.add(static_cast<double>(std::max<UnixMs>(unix_now() - changed, 0)) / 1000);
}

/// A published store that was emptied, or replaced by another directory, is published into again.
void Outlet::check_published() {
  if (stopped_ || again_.pending()) return;
  const UnixMs now = unix_now();
  const store::Inspection ours = store::inspect(options_.store, now, how_);
  if (ours.state != login::State::usable) return;
  const store::Inspection theirs = store::inspect(options_.directory, now);
  if (!theirs.login || theirs.login->expires_at != ours.login->expires_at) again_.poke();
}

}  // namespace claude_init::keep
