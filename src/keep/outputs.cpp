#include "keep/outputs.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/named.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/inspect.h"

namespace claude_init::keep {
namespace {

constexpr Milliseconds kGathered{100};        // several changes of one moment become one file
constexpr Milliseconds kAge{10 * 60 * 1000};  // after which the seconds that are left are written anew

log::Level level_of(keep::Change change) {
  switch (change) {
    case keep::Change::usable:
    case keep::Change::renewed:
    case keep::Change::recovered:
      return log::Level::info;
    case keep::Change::dead:
      return log::Level::error;
    case keep::Change::unusable:
    case keep::Change::failing:
    case keep::Change::expiring:
    case keep::Change::account_changed:
      break;
  }
  return log::Level::warn;
}

void write_to_log(const std::string& store, const keep::Event& event) {
  const log::Level level = level_of(event.change);
  if (event.remedy.empty()) return log::write(level, event.text, {{"store", store}});
  log::write(level, event.text, {{"store", store}, {"do", event.remedy}});
}

keep::Hook::Call call_for(const keep::Keeper& keeper, const keep::Event& event) {
  const store::Inspection& seen = keeper.record().seen();
  keep::Hook::Call call;
  call.store = keeper.record().name();
  call.path = keeper.options().store;
  call.published_path = keeper.options().publish;
  call.state = login::name_of(keeper.record().outcome());
  call.event = event;
  if (seen.login && seen.login->has_access_token) call.expires_at = seen.login->expires_at;
  if (seen.login) call.login_expires_at = seen.login->refresh_expires_at;
  return call;
}

Result<void> replace(const std::string& path, const std::string& text) {
  const std::string parent = fs::parent_of(path);
  fs::Identity owner;
  const auto directory =
      fs::open_named_as_owner(parent.empty() ? (path.starts_with('/') ? "/" : ".") : parent, &owner);
  if (!directory) return directory.error();
  const fs::ActAs as(owner);
  return fs::replace_file(directory->get(), fs::name_of(path), text, 0644, fs::Sync::no);
}

}  // namespace

Outputs::Outputs(const supervise::Loop& loop, const options::Keep& options,
                 const options::Environment& environment, std::deque<keep::Keeper>& keepers)
    : options_(options),
      keepers_(keepers),
      started_(unix_now()),
      hook_(loop.io, loop.inherited, loop.reaper, options.on_change, environment.variables(), {}),
      io_(loop.io),
      metrics_changed_(loop.io, kGathered, kGathered, [this] { write_metrics(); }),
      metrics_aged_(loop.io, kAge, kAge, [this] { write_metrics(); }) {}

Result<void> Outputs::start() {
  if (!options_.metrics_file.empty()) metrics_changed_.poke();
  if (options_.listen.empty()) return Done{};
  const auto address = keep::parse_address(options_.listen);
  if (!address) return address.error();
  const auto answer = [this](const keep::Request& request) {
    return keep::answer(request, [this] { return view(); });
  };
  listener_.emplace(io_, answer, options_.allow_hosts);
  return listener_->listen(*address);
}

void Outputs::report_event(const keep::Keeper& keeper, const keep::Event& event) {
  write_to_log(keeper.record().name(), event);
  hook_.call(call_for(keeper, event));
  if (!options_.metrics_file.empty()) metrics_changed_.poke();
}

void Outputs::stop() {
  hook_.stop();
  metrics_aged_.cancel();
  if (listener_) listener_->close();
}

keep::Report Outputs::view() const {
  keep::Report view;
  view.now = unix_now();
  view.started = started_;
  view.version = CLAUDE_INIT_VERSION;
  for (const keep::Keeper& keeper : keepers_) view.stores.push_back(keeper.shown());
  view.hook_runs = hook_.counts().runs;
  view.hook_failures = hook_.counts().failures;
  return view;
}

void Outputs::write_metrics() {
  metrics_aged_.cancel();
  const auto written = replace(options_.metrics_file, keep::as_metrics(view(), health::Exposition::text));
  if (!written && !metrics_failed_) {
    Error error = written.error_with("write the metrics to " + printable(options_.metrics_file));
    if (error.kind == ErrorKind::not_found || error.kind == ErrorKind::permission)
      error.remedy = fmt::format(
          "name a file in a directory that is there and that uid {} may write: --metrics-file PATH",
          ::geteuid());
    log::failure(log::Level::warn, error);
  }
  metrics_failed_ = !written;
  metrics_aged_.poke();
}

}  // namespace claude_init::keep
