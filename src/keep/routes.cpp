#include "keep/routes.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "keep/accept.h"

namespace claude_init::keep {
namespace {

constexpr std::string_view kReadyz = "/readyz/";

Answer not_found(std::string_view what) {
  return {404, "text/plain; charset=utf-8", fmt::format("there is no {}\n", printable(what))};
}

/// Of that one login: another one that is dead is none of its business.
Answer readiness(const Report& view, std::string_view name) {
  const auto found = std::find_if(view.stores.begin(), view.stores.end(),
                                  [&](const Shown& shown) { return shown.record->name() == name; });
  if (found == view.stores.end()) return not_found(fmt::format("store '{}'", name));
  const LoginMonitor& record = *found->record;
  std::string body = fmt::format("{}: {}\n", printable(name), login::name_of(record.outcome()));
  const std::string& problem = record.seen().problem;
  if (!problem.empty()) body += printable(problem) + '\n';
  if (record.seen().renewal_rejected) body += "the server does not renew this login any more\n";
  std::string remedy = record.remedy(view.now);
  if (record.failing_since()) {
    const std::string& reason = record.obstacle().reason;
    body += fmt::format("not renewed for {}{}{}\n", format_duration(view.now - *record.failing_since()),
                        reason.empty() ? "" : ": ", reason);
    if (remedy.empty()) remedy = record.obstacle().remedy;
  }
  if (const Obstacle& unpublished = record.unpublished(); !unpublished.reason.empty()) {
    body += fmt::format("not published: {}\n", unpublished.reason);
    if (remedy.empty()) remedy = unpublished.remedy;
  }
  if (!remedy.empty()) body += "→ " + remedy + '\n';
  return {record.ready() ? 200u : 503u, "text/plain; charset=utf-8", std::move(body)};
}

Answer metrics_as(const Report& view, health::Exposition exposition) {
  return {200,
          exposition == health::Exposition::openmetrics
              ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
              : "text/plain; version=0.0.4; charset=utf-8",
          as_metrics(view, exposition)};
}

}  // namespace

Answer answer(const Request& request, const std::function<Report()>& view) {
  const std::string_view target = request.target;
  if (request.method != "GET" && request.method != "HEAD")
    return {405, "text/plain; charset=utf-8", "only GET and HEAD are answered\n"};
  const std::string_view path = target.substr(0, target.find('?'));
  if (path == "/livez" || path == "/readyz") return {200, "text/plain; charset=utf-8", "ok\n"};
  if (path.starts_with(kReadyz)) return readiness(view(), path.substr(kReadyz.size()));
  if (path == "/status") return {200, "application/json", as_status(view())};
  if (path == "/metrics") return metrics_as(view(), wanted_exposition(request.accept));
  if (path == "/") return {200, "text/html; charset=utf-8", as_page(view())};
  return not_found(path);
}

}  // namespace claude_init::keep
