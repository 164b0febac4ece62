#include "health/health.h"

#include <nlohmann/json.hpp>

#include "store/inspect.h"

namespace claude_init::health {
namespace {

using nlohmann::ordered_json;

ordered_json deadline(UnixMs time, UnixMs now) {
  return {{"expires_at", format_iso8601(time)}, {"expires_in_seconds", (time - now) / 1000}};
}

}  // namespace

std::string as_json(const store::Inspection& inspection, const Context& context) {
  const Explanation words = explain(inspection, context);
  ordered_json out;
  out["state"] = login::name_of(inspection.state);
  out["healthy"] = is_healthy(inspection, context);
  out["store"] = inspection.path;
  if (!inspection.email.empty()) out["email"] = inspection.email;
  if (const auto& login = inspection.login) {
    if (!login->subscription.empty()) out["subscription"] = login->subscription;
    if (!login->account_uuid.empty()) out["account_uuid"] = login->account_uuid;
    if (login->has_access_token) out["access_token"] = deadline(login->expires_at, context.now);
    if (inspection.deadline_doubtful) out["access_token"]["doubtful"] = true;
    out["has_refresh_token"] = login->has_refresh_token;
    if (inspection.placeholder) out["placeholder"] = true;
    if (login->refresh_expires_at) out["login"] = deadline(*login->refresh_expires_at, context.now);
  }
  if (inspection.state != login::State::no_store) out["sealed"] = inspection.sealed;
  if (const auto& live = context.live) {
    out["live"] = {{"works", live->works},
                   {"at", format_iso8601(live->at)},
                   {"age_seconds", (context.now - live->at) / 1000}};
    if (!live->works) out["live"]["said"] = live->said;
  }
  if (!context.renewer.empty()) out["renewed_by"] = context.renewer;
  if (inspection.renewal_burnt) out["renewal_burnt"] = true;
  out["headline"] = words.headline;
  out["meaning"] = words.meaning;
  out["remedies"] = words.remedies;
  out["notes"] = words.notes;
  // A path may hold any bytes; JSON holds text.
  return out.dump(-1, ' ', true, ordered_json::error_handler_t::replace) + '\n';
}

}  // namespace claude_init::health
