#include <nlohmann/json.hpp>

#include "keep/report.h"
#include "store/inspect.h"

namespace claude_init::keep {
namespace {

using nlohmann::ordered_json;

ordered_json deadline(UnixMs time, UnixMs now) {
  return {{"expires_at", format_iso8601(time)}, {"expires_in_seconds", (time - now) / 1000}};
}

ordered_json event_of(const Event& event) {
  ordered_json out{
      {"time", format_iso8601(event.time)}, {"change", name_of(event.change)}, {"text", event.text}};
  if (!event.remedy.empty()) out["remedy"] = event.remedy;
  return out;
}

ordered_json store_of(const Shown& shown, UnixMs now) {
  const LoginMonitor& record = *shown.record;
  const store::Inspection& seen = record.seen();
  ordered_json out{
      {"name", record.name()}, {"state", login::name_of(record.outcome())}, {"ready", record.ready()}};
  if (!seen.email.empty()) out["email"] = seen.email;
  if (seen.login) {
    if (!seen.login->subscription.empty()) out["subscription"] = seen.login->subscription;
    if (seen.login->has_access_token) out["access_token"] = deadline(seen.login->expires_at, now);
    if (seen.login->refresh_expires_at) out["login"] = deadline(*seen.login->refresh_expires_at, now);
  }
  if (seen.state != login::State::no_store) out["sealed"] = seen.sealed;
  if (seen.renewal_rejected) out["renewal_rejected"] = true;
  if (seen.renewal_burnt) out["renewal_burnt"] = true;
  if (!shown.cli.empty()) out["claude_code"] = shown.cli;
  if (shown.next_renewal) out["next_renewal"] = format_iso8601(*shown.next_renewal);
  if (record.last_renewal()) out["last_renewal"] = format_iso8601(*record.last_renewal());
  out["renewals"] = record.renewals();
  out["renewal_failures"] = record.failures();
  std::string remedy = record.remedy(now);
  if (record.failing_since()) {
    out["failing_since"] = format_iso8601(*record.failing_since());
    if (!record.obstacle().reason.empty()) out["failing_reason"] = record.obstacle().reason;
    if (remedy.empty()) remedy = record.obstacle().remedy;
  }
  if (record.waiting() != nullptr) {
    out["waiting_since"] = format_iso8601(record.waiting()->since);
    out["waiting_for"] = record.waiting()->reason;
  }
  if (shown.publishing != nullptr) {
    out["published"] = shown.publishing->logins;
    if (const Obstacle& why = record.unpublished(); !why.reason.empty()) {
      out["publish_problem"] = why.reason;
      if (remedy.empty()) remedy = why.remedy;
    }
  }
  out["captures"] = shown.captures;
  if (!remedy.empty()) out["remedy"] = remedy;
  out["events"] = ordered_json::array();
  for (const Event& event : record.events()) out["events"].push_back(event_of(event));
  return out;
}

}  // namespace

std::string as_status(const Report& view) {
  ordered_json out{{"version", view.version},
                   {"time", format_iso8601(view.now)},
                   {"uptime_seconds", (view.now - view.started) / 1000}};
  out["stores"] = ordered_json::array();
  for (const Shown& shown : view.stores) out["stores"].push_back(store_of(shown, view.now));
  // What a store holds may be any bytes; JSON holds text. In ASCII, since people look at it on a terminal
  // too.
  return out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace claude_init::keep
