#include <fmt/format.h>

#include <utility>

#include "health/prometheus.h"
#include "keep/report.h"

namespace claude_init::keep {
namespace {

using health::metric_label;
using health::Metrics;

std::string of(const Shown& shown) {
  return fmt::format("store=\"{}\"", metric_label(shown.record->name()));
}

double seconds(std::int64_t milliseconds) {
  return static_cast<double>(milliseconds) / 1000;
}

void add_time(Metrics& metrics, const Report& view, std::string_view name, std::string_view help,
              std::optional<UnixMs> (LoginMonitor::*time)() const) {
  metrics.family(name, "gauge", help);
  for (const Shown& shown : view.stores) {
    if (const auto at = (shown.record->*time)()) metrics.sample(name, of(shown), seconds(*at));
  }
}

void add_renewals(Metrics& metrics, const Report& view) {
  add_time(metrics, view, "claude_init_last_renewal_timestamp_seconds",
           "When a later access token was last seen to arrive in the store.", &LoginMonitor::last_renewal);
  add_time(metrics, view, "claude_init_renewal_failing_since_timestamp_seconds",
           "Since when renewals fail; absent while they do not.", &LoginMonitor::failing_since);
  add_time(metrics, view, "claude_init_lock_wait_since_timestamp_seconds",
           "Since when a renewal waits for a lock that another process holds; absent while none does.",
           &LoginMonitor::waiting_since);
  metrics.family("claude_init_renewals", "counter",
                 "Renewals by this keeper that brought a new access token.");
  for (const Shown& shown : view.stores)
    metrics.sample("claude_init_renewals_total", of(shown), shown.record->renewals());
  metrics.family("claude_init_renewal_failures", "counter",
                 "Renewals by this keeper that brought none, by kind.");
  for (const Shown& shown : view.stores) {
    for (const auto& [kind, count] : shown.record->failures()) {
      metrics.sample("claude_init_renewal_failures_total",
                     fmt::format("{},kind=\"{}\"", of(shown), metric_label(kind)), count);
    }
  }
}

void add_propagation(Metrics& metrics, const Report& view) {
  metrics.family("claude_init_propagation_seconds", "histogram",
                 "From a change of the store to its being published.");
  for (const Shown& shown : view.stores) {
    if (shown.publishing == nullptr) continue;
    const Histogram& times = shown.publishing->propagation;
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < Histogram::kBounds; ++i) {
      cumulative += times.buckets[i];
      metrics.sample("claude_init_propagation_seconds_bucket",
                     fmt::format("{},le=\"{}\"", of(shown), Histogram::kUpper[i]), cumulative);
    }
    metrics.sample("claude_init_propagation_seconds_bucket", of(shown) + ",le=\"+Inf\"", times.count);
    metrics.sample("claude_init_propagation_seconds_sum", of(shown), times.sum);
    metrics.sample("claude_init_propagation_seconds_count", of(shown), times.count);
  }
}

void add_publishing(Metrics& metrics, const Report& view) {
  metrics.family("claude_init_published", "counter", "Logins put into the published store.");
  for (const Shown& shown : view.stores) {
    if (shown.publishing != nullptr)
      metrics.sample("claude_init_published_total", of(shown), shown.publishing->logins);
  }
  metrics.family("claude_init_publish_failing", "gauge", "1 while the published store cannot be written.");
  for (const Shown& shown : view.stores) {
    if (shown.publishing != nullptr)
      metrics.sample("claude_init_publish_failing", of(shown),
                     shown.record->unpublished().reason.empty() ? 0 : 1);
  }
  add_propagation(metrics, view);
}

void add_use(Metrics& metrics, const Report& view) {
  metrics.family("claude_init_login_rejected", "gauge",
                 "1 if the server does not renew the login any more, though it may still work for a while.");
  for (const Shown& shown : view.stores)
    metrics.sample("claude_init_login_rejected", of(shown), shown.record->seen().renewal_rejected ? 1 : 0);
  metrics.family("claude_init_captures", "counter",
                 "Captures that changed the store's login files, and changes that one found.");
  for (const Shown& shown : view.stores)
    metrics.sample("claude_init_captures_total", of(shown), shown.captures);
}

void add_cli(Metrics& metrics, const Report& view) {
  metrics.family("claude_init_renewer", "info",
                 "The version of Claude Code that renews, and whether it is tested.");
  for (const Shown& shown : view.stores) {
    if (shown.cli.empty()) continue;
    const auto blank = shown.cli.find(' ');
    metrics.sample(
        "claude_init_renewer_info",
        fmt::format("{},version=\"{}\",tested=\"{}\"", of(shown), metric_label(shown.cli.substr(0, blank)),
                    shown.cli.ends_with(" (tested)") ? 1 : 0),
        1);
  }
}

void add_keeper(Metrics& metrics, const Report& view) {
  metrics.family("claude_init_hook_runs", "counter", "Calls of --on-change.");
  metrics.sample("claude_init_hook_runs_total", "", view.hook_runs);
  metrics.family("claude_init_hook_failures", "counter",
                 "Calls of --on-change that failed, by exit status; -1: dropped, since others waited.");
  for (const auto& [status, count] : view.hook_failures)
    metrics.sample("claude_init_hook_failures_total", fmt::format("status=\"{}\"", status), count);
  metrics.family("claude_init_build", "info", "What runs.");
  metrics.sample("claude_init_build_info", fmt::format("version=\"{}\"", metric_label(view.version)), 1);
  metrics.family("claude_init_start_time_seconds", "gauge", "When the keeper was started.");
  metrics.sample("claude_init_start_time_seconds", "", seconds(view.started));
}

}  // namespace

void Histogram::add(double value) {
  for (std::size_t i = 0; i < kBounds; ++i) {
    if (value <= kUpper[i]) {
      buckets[i] += 1;
      break;
    }
  }
  count += 1;
  sum += value;
}

std::string as_metrics(const Report& view, health::Exposition exposition) {
  Metrics metrics(exposition);
  std::vector<health::NamedStore> logins;
  for (const Shown& shown : view.stores)
    logins.push_back(
        {shown.record->name(), &shown.record->seen(), shown.record->outcome(), shown.record->ready()});
  health::add_logins(metrics, logins, view.now);
  add_use(metrics, view);
  add_renewals(metrics, view);
  add_publishing(metrics, view);
  add_cli(metrics, view);
  add_keeper(metrics, view);
  return std::move(metrics).finish();
}

}  // namespace claude_init::keep
