#include "follow/publisher.h"

#include <utility>

#include "base/interrupt.h"
#include "log/log.h"

namespace claude_init::follow {
Result<store::CaptureReport> publish(const std::string& path, const store::Store& into,
                                     const Publication& publication) {
  const std::string context = "publish into " + into.path();
  const auto lock = store::Lock::acquire(into, "store", "publish", publication.wait);
  if (!lock) return lock.error_with(context);
  store::CaptureOptions capture;
  capture.filter = publication.filter;
  capture.extent = publication.extent;
  capture.refresh_token = store::RefreshToken::withhold;
  capture.rules.allow_account_change = true;  // that has been judged where it came into the store
  capture.deadline = publication.deadline;
  capture.delete_missing =
      publication.baseline != nullptr ? store::Deletions::proven : store::Deletions::none;
  capture.baseline = publication.baseline;
  capture.reason = "published";
  auto report = store::capture(store::state_in_config_dir(path), store::owner_of(path), into, *lock, capture);
  if (!report) return report.error_with(context);
  if (const auto failed = failed_for_now(report->skipped)) return Result<void>(*failed).error_with(context);
  if (report->login.choice == login::Choice::take) {
    log::info("published a login", {{"store", path}, {"into", into.path()}});
  }
  return report;
}

Publisher::Publisher(boost::asio::io_context& io, Inotify& inotify, Options options)
    : options_(std::move(options)),
      changes_(io, inotify,
               {store::state_in_config_dir(options_.store), store::owner_of(options_.store), options_.filter,
                Milliseconds(0), false, [this] { return publish_change(store::Extent::login, {}); },
                [this](SteadyTime deadline) {
                  return publish_change(store::Extent::all, interrupt::until(deadline));
                }}) {}

Result<store::CaptureReport> Publisher::start() {
  Publication all;
  all.filter = options_.filter;
  all.baseline = &baseline_;
  all.deadline = interrupt::until(SteadyTime::max());
  auto published = publish(options_.store, options_.into, all);
  if (published) changes_.start();
  return published;
}

Result<void> Publisher::finish(const Deadline& deadline) {
  Publication all;
  all.filter = options_.filter;
  all.deadline = deadline;
  all.baseline = &baseline_;
  const auto published = publish(options_.store, options_.into, all);
  return published ? Result<void>() : published.error();
}

Checkpoint::Saved Publisher::publish_change(store::Extent extent, const Deadline& deadline) {
  const auto report = publish(options_.store, options_.into,
                              {options_.filter, extent, Milliseconds(0), deadline, &baseline_});
  if (!report && report.error().kind == ErrorKind::busy) return Checkpoint::Saved::not_all;
  tell(report);
  return report ? Checkpoint::saved(*report) : Checkpoint::Saved::failed;
}

void Publisher::tell(const Result<store::CaptureReport>& outcome) {
  if (options_.on_outcome) return options_.on_outcome(outcome);
  const bool failed_before = std::exchange(failed_, !outcome);
  if (outcome && failed_before) log::warn("published again", {{"into", options_.into.path()}});
  if (!outcome && !failed_before) log::failure(log::Level::warn, outcome.error());
}

}  // namespace claude_init::follow
