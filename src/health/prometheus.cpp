#include "health/prometheus.h"

#include <fmt/format.h>

#include <optional>

#include "base/text.h"
#include "health/health.h"
#include "login/login.h"

namespace claude_init::health {
namespace {

std::string of(const NamedStore& store) {
  return fmt::format("store=\"{}\"", metric_label(store.name));
}

/// One sample for each store whose login has that deadline.
template <class Deadline>
void add_deadline(Metrics& metrics, const std::vector<NamedStore>& stores, UnixMs now, std::string_view what,
                  std::string_view help, Deadline deadline) {
  const auto add = [&](const std::string& name, std::string_view describes, UnixMs origin) {
    metrics.family(name, "gauge", describes);
    for (const NamedStore& store : stores) {
      const auto at = store.seen->login ? deadline(*store.seen->login) : std::nullopt;
      if (at) metrics.sample(name, of(store), static_cast<double>(*at - origin) / 1000);
    }
  };
  add(fmt::format("claude_init_{}_expiry_timestamp_seconds", what), fmt::format("When {}", help), 0);
  add(fmt::format("claude_init_{}_remaining_seconds", what), fmt::format("How long until {}", help), now);
}

}  // namespace

std::string metric_label(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

/// What the older format does not know is a gauge there, and it has a counter's head say "_total" as well.
void Metrics::family(std::string_view name, std::string_view type, std::string_view help) {
  std::string_view suffix;
  if (exposition_ == Exposition::text) {
    if (type == "counter") suffix = "_total";
    if (type == "info") suffix = "_info";
    if (type == "info" || type == "stateset") type = "gauge";
  }
  fmt::format_to(std::back_inserter(text_), "# TYPE {0}{1} {2}\n# HELP {0}{1} {3}\n", name, suffix, type,
                 help);
}

std::string Metrics::finish() && {
  if (exposition_ == Exposition::openmetrics) text_ += "# EOF\n";
  return std::move(text_);
}

void add_logins(Metrics& metrics, const std::vector<NamedStore>& stores, UnixMs now) {
  constexpr std::string_view kState = "claude_init_login_state";
  metrics.family(kState, "stateset", "State of the login, as `claude-init health` names it.");
  for (const NamedStore& store : stores) {
    for (const login::State state : login::kStates) {
      metrics.sample(kState, fmt::format("{},{}=\"{}\"", of(store), kState, login::name_of(state)),
                     store.state == state ? 1 : 0);
    }
  }
  constexpr std::string_view kReady = "claude_init_login_ready";
  metrics.family(kReady, "gauge", "1 if a workload can use the login now.");
  for (const NamedStore& store : stores) metrics.sample(kReady, of(store), store.ready ? 1 : 0);
  constexpr std::string_view kSealed = "claude_init_login_sealed";
  metrics.family(kSealed, "gauge", "1 if the refresh token is sealed, 0 if it is stored in plain.");
  for (const NamedStore& store : stores) {
    if (store.seen->sealed || (store.seen->login && store.seen->login->has_refresh_token))
      metrics.sample(kSealed, of(store), store.seen->sealed ? 1 : 0);
  }
  add_deadline(metrics, stores, now, "access_token", "the access token expires; it is renewed before.",
               [](const login::Login& login) {
                 return login.has_access_token ? std::optional(login.expires_at) : std::nullopt;
               });
  add_deadline(metrics, stores, now, "login", "the login itself expires; log in again before.",
               [](const login::Login& login) { return login.refresh_expires_at; });
}

}  // namespace claude_init::health
