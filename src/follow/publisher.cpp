#include "follow/publisher.h"

#include <cerrno>
#include <chrono>
#include <utility>

#include "base/interrupt.h"
#include "base/text.h"
#include "log/log.h"
#include "store/layout.h"
#include "store/published.h"
#include "sync/publish.h"

namespace claude_init::follow {
namespace {

constexpr Milliseconds kPatience{5000};  // for others who publish, before it is logged

/// Jobs that mount the published store would run without its rules, and could not know.
Result<void> check_rules(const sync::CaptureReport& report, const std::string& store) {
  for (const sync::Skipped& skipped : report.skipped) {
    if (!store::is_binding_file(skipped.path)) continue;
    return make_error(ErrorKind::invalid,
                      skipped.path + " in " + printable(store) + " is not published: it " + skipped.reason,
                      "put the file itself into the store");
  }
  return Done{};
}

}  // namespace

Result<sync::CaptureReport> publish(const store::Store& from, const store::Store& into,
                                    const Publication& publication) {
  const std::string context = "publish into " + into.path();
  const auto lock = sync::lock_to_publish(from, publication.wait);
  if (!lock) return lock.error_with(context);
  sync::CaptureOptions capture;
  capture.filter = publication.filter;
  capture.extent = publication.extent;
  capture.refresh_token = store::RefreshToken::withhold;
  capture.withheld = publication.withheld;
  capture.rules.allow_account_change = true;
  capture.rules.judged_before = true;
  capture.deadline = publication.deadline;
  capture.delete_missing = publication.baseline != nullptr ? sync::Deletions::proven : sync::Deletions::none;
  capture.baseline = publication.baseline;
  capture.reason = "published";
  capture.keep_generations = 0;  // the store has them
  auto report = sync::capture(store::state_in_config_dir(from.path()), from.owner(), into, *lock, capture);
  if (!report) return report.error_with(context);
  if (const auto failed = failed_for_now(report->skipped)) return Result<void>(*failed).error_with(context);
  if (report->login.choice == login::Choice::take) {
    log::info("published a login", {{"store", from.path()}, {"into", into.path()}});
  }
  if (const auto rules = check_rules(*report, from.path()); !rules) return rules.error();
  return report;
}

Publisher::Publisher(boost::asio::io_context& io, loop::Inotify& inotify, Options options)
    : options_(std::move(options)),
      changes_(io, inotify,
               {store::state_in_config_dir(options_.store), store::owner_of(options_.store), options_.filter,
                Milliseconds(0), false, [this] { return publish_change(store::Extent::login, {}); },
                [this](SteadyTime deadline) {
                  return publish_change(store::Extent::all, interrupt::until(deadline));
                }}) {}

/// A store that has gone has nothing to publish.
Result<sync::CaptureReport> Publisher::publish_all(const Publication& publication) const {
  const auto from = store::Store::open(options_.store, options_.how);
  if (!from && from.error().number == ENOENT) return sync::CaptureReport{};
  if (!from) return from.error_with("publish");
  return publish(*from, options_.into, publication);
}

Result<sync::CaptureReport> Publisher::start() {
  Publication all;
  all.withheld = options_.withheld;
  all.filter = options_.filter;
  all.wait = options_.wait;
  all.baseline = &baseline_;
  all.deadline = interrupt::until(SteadyTime::max());
  auto published = publish_all(all);
  if (!published) return published;
  name_withheld(published);
  changes_.start();
  return published;
}

Result<void> Publisher::finish(const Deadline& deadline) {
  Publication all;
  all.withheld = options_.withheld;
  all.filter = options_.filter;
  all.deadline = deadline;
  all.baseline = &baseline_;
  const auto published = publish_all(all);
  return published ? Result<void>() : published.error();
}

Checkpoint::Saved Publisher::publish_change(store::Extent extent, const Deadline& deadline) {
  const auto report =
      publish_all({options_.withheld, options_.filter, extent, Milliseconds(0), deadline, &baseline_});
  if (!report && report.error().kind == ErrorKind::busy) {
    const SteadyTime now = std::chrono::steady_clock::now();
    if (!busy_since_) busy_since_ = now;
    if (now - *busy_since_ >= kPatience) log_outcome(report);
    return Checkpoint::Saved::not_all;
  }
  busy_since_.reset();
  name_withheld(report);
  log_outcome(report);
  return report ? Checkpoint::saved(*report) : Checkpoint::Saved::failed;
}

/// Names the store's files that readers of the published store do not get.
void Publisher::name_withheld(const Result<sync::CaptureReport>& outcome) {
  if (!outcome) return;
  for (const sync::Skipped& skipped : outcome->skipped) {
    if (!skipped.withheld || !withheld_.insert(skipped.path).second) continue;
    log::warn("not published", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
}

void Publisher::log_outcome(const Result<sync::CaptureReport>& outcome) {
  if (options_.on_outcome) return options_.on_outcome(outcome);
  const bool failed_before = std::exchange(failed_, !outcome);
  if (outcome && failed_before) log::warn("published again", {{"into", options_.into.path()}});
  if (!outcome && !failed_before) log::failure(log::Level::warn, outcome.error());
}

}  // namespace claude_init::follow
