#include "keep/outputs.h"

#include <utility>

#include "log/log.h"
#include "store/inspect.h"

namespace claude_init::keep {
namespace {

log::Level level_of(Change change) {
  switch (change) {
    case Change::usable:
    case Change::renewed:
    case Change::recovered:
      return log::Level::info;
    case Change::dead:
      return log::Level::error;
    case Change::unusable:
    case Change::failing:
    case Change::expiring:
    case Change::account_changed:
      break;
  }
  return log::Level::warn;
}

void write_to_log(const std::string& store, const Event& event) {
  const log::Level level = level_of(event.change);
  if (event.remedy.empty()) return log::write(level, event.text, {{"store", store}});
  log::write(level, event.text, {{"store", store}, {"do", event.remedy}});
}

Hook::Call call_for(const Keeper& keeper, const Event& event) {
  const store::Inspection& seen = keeper.record().seen();
  Hook::Call call;
  call.store = keeper.record().name();
  call.path = keeper.options().store;
  call.published_path = keeper.options().publish;
  call.placeholder_path = keeper.options().placeholder;
  call.state = login::name_of(keeper.record().outcome());
  call.event = event;
  if (seen.login && seen.login->has_access_token) call.expires_at = seen.login->expires_at;
  if (seen.login) call.login_expires_at = seen.login->refresh_expires_at;
  return call;
}

}  // namespace

Outputs::Outputs(const supervise::Loop& loop, const options::Keep& options,
                 const options::Environment& environment, std::deque<Keeper>& keepers)
    : options_(options),
      keepers_(keepers),
      started_(unix_now()),
      hook_(loop.io, loop.inherited, loop.reaper, options.on_change, environment.variables(), {}),
      io_(loop.io) {}

Result<void> Outputs::start() {
  if (options_.listen.empty()) return Done{};
  const auto address = parse_address(options_.listen);
  if (!address) return address.error();
  const auto answer = [this](const Request& request) {
    return keep::answer(request, [this] { return view(); });
  };
  listener_.emplace(io_, answer, options_.allow_hosts);
  return listener_->listen(*address);
}

void Outputs::report_event(const Keeper& keeper, const Event& event) {
  write_to_log(keeper.record().name(), event);
  hook_.call(call_for(keeper, event));
}

void Outputs::stop() {
  hook_.stop();
  if (listener_) listener_->close();
}

Report Outputs::view() const {
  Report view;
  view.now = unix_now();
  view.started = started_;
  view.version = CLAUDE_INIT_VERSION;
  for (const Keeper& keeper : keepers_) view.stores.push_back(keeper.shown());
  view.hook_runs = hook_.counts().runs;
  view.hook_failures = hook_.counts().failures;
  return view;
}

}  // namespace claude_init::keep
