#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/text.h"
#include "health/health.h"
#include "keep/report.h"
#include "store/inspect.h"

namespace claude_init::keep {
namespace {

using login::State;

constexpr std::int64_t kSoon = 7 * kDay;  // as the keeper's first notice of a login's end
constexpr std::size_t kEventsShown = 6;

// Colours by prefers-color-scheme; a column of cards that becomes two where there is room.
constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2330;--dim:#5d6675;--line:#dfe3ea;
--ok:#1a7f4b;--warn:#a86100;--bad:#b3261e;--track:#e6e9ef}
@media(prefers-color-scheme:dark){:root{--bg:#12151b;--card:#1b2029;--ink:#e8ebf0;--dim:#98a2b3;
--line:#2b323e;--ok:#4cc38a;--warn:#e2a336;--bad:#ff7a70;--track:#2b323e}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.3rem;margin:0}
header p{margin:.2rem 0 1.5rem;color:var(--dim)}
.stores{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr))}
section{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1.1rem 1.2rem;
min-width:0}
h2{font-size:1.1rem;margin:0;display:flex;justify-content:space-between;gap:1rem;align-items:baseline;
overflow-wrap:anywhere}
.state{font-size:.85rem;font-weight:600;white-space:nowrap}
.ok{color:var(--ok)}.warn{color:var(--warn)}.bad{color:var(--bad)}
.who{color:var(--dim);margin:.1rem 0 .9rem;overflow-wrap:anywhere}
.bar{margin:.7rem 0}
.bar div{display:flex;justify-content:space-between;gap:1rem;font-size:.9rem}
.bar div span:last-child{color:var(--dim);text-align:right;white-space:nowrap}
.track{height:.5rem;border-radius:.25rem;background:var(--track);overflow:hidden;margin-top:.25rem}
.track i{display:block;height:100%;border-radius:.25rem}
i.ok{background:var(--ok)}i.warn{background:var(--warn)}i.bad{background:var(--bad)}
.todo{border-left:.25rem solid var(--bad);color:var(--ink);padding:.1rem 0 .1rem .8rem;margin:1rem 0}
.todo.warn{border-color:var(--warn)}
.todo p{margin:0 0 .4rem}
.next{color:var(--dim);font-size:.9rem;margin:.7rem 0 0}
code{display:block;background:var(--bg);border:1px solid var(--line);border-radius:.4rem;padding:.5rem .6rem;
font:.85rem/1.45 ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere;user-select:all}
ol{list-style:none;margin:1rem 0 0;padding:.8rem 0 0;border-top:1px solid var(--line);font-size:.9rem}
li{margin:.35rem 0;overflow-wrap:anywhere}
time{color:var(--dim);margin-right:.5rem;white-space:nowrap}
footer{margin-top:1.5rem;color:var(--dim);font-size:.85rem}
footer a{color:inherit}
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

/// A login that lives, and whose own end nears: nobody but a person can do anything about that.
bool ends_soon(const LoginMonitor& record, UnixMs now) {
  const auto& login = record.seen().login;
  return record.remedy(now).empty() && login && login->refresh_expires_at &&
         *login->refresh_expires_at - now < kSoon;
}

/// The class of a store's state: what a glance should tell.
std::string_view tone_of(const LoginMonitor& record, UnixMs now) {
  if (!record.ready()) return record.seen().state == State::renewable ? "warn" : "bad";
  return record.failing_since() || record.waiting() != nullptr || ends_soon(record, now) ? "warn" : "ok";
}

std::string who(const LoginMonitor& record) {
  const store::Inspection& seen = record.seen();
  if (!seen.login) return seen.problem.empty() ? "" : escaped(seen.problem);
  const std::string name = seen.email.empty() ? seen.login->account_uuid : seen.email;
  const std::string& plan = seen.login->subscription;
  return escaped(name) + (plan.empty() ? "" : (name.empty() ? "" : " · ") + escaped(plan));
}

/// A deadline as a bar: full is `whole` from now, or more.
std::string bar(std::string_view title, UnixMs end, UnixMs now, std::int64_t whole, std::int64_t warn_below) {
  const std::int64_t left = end - now;
  const std::int64_t percent = std::clamp<std::int64_t>(left * 100 / whole, 0, 100);
  const std::string_view tone = left <= 0 ? "bad" : left < warn_below ? "warn" : "ok";
  const std::string text = left > 0 ? fmt::format("{} left", format_duration(left))
                                    : fmt::format("ended {} ago", format_duration(-left));
  return fmt::format(
      "<div class=\"bar\"><div><span>{}</span><span title=\"{}\">{}</span></div>"
      "<div class=\"track\"><i class=\"{}\" style=\"width:{}%\"></i></div></div>\n",
      title, format_utc(end), text, tone, percent);
}

std::string deadlines(const Shown& shown, UnixMs now) {
  const auto& login = shown.record->seen().login;
  const State state = shown.record->seen().state;
  if (!login || (state != State::usable && state != State::renewable && state != State::expired)) return "";
  std::string out = bar("Access token", login->expires_at, now, 8 * kHour, 0);
  if (login->refresh_expires_at) out += bar("Login", *login->refresh_expires_at, now, 30 * kDay, kSoon);
  if (shown.next_renewal && *shown.next_renewal > now) {
    out += fmt::format("<p class=\"next\">Renews automatically in {}.</p>\n",
                       format_duration(*shown.next_renewal - now));
  }
  if (const std::string_view kept = health::how_kept(shown.record->seen()); !kept.empty())
    out += fmt::format("<p class=\"next\">Refresh token {}.</p>\n", kept);
  if (!shown.cli.empty()) out += fmt::format("<p class=\"next\">Claude Code {}.</p>\n", escaped(shown.cli));
  return out;
}

/// What is to be done, and what can be typed for it. `tone`: "bad", or "warn" while it still works.
std::string todo(std::string_view tone, std::string_view what, std::string_view command) {
  return fmt::format("<div class=\"todo {}\"><p>{}</p>{}</div>\n", tone, what,
                     command.empty() ? "" : fmt::format("<code>{}</code>", escaped(command)));
}

std::string_view what_to_do(const LoginMonitor& record, UnixMs now) {
  if (record.has_ended_normally(now))
    return "The login has expired, as each does after about four weeks: nothing is broken. To log in again:";
  switch (record.seen().state) {
    case State::usable:
      if (record.seen().renewal_burnt)
        return "A renewal cost this login. Log in again before its access token expires:";
      return "The server has rejected this login. Log in again: jobs fail when its access token expires, or "
             "already do.";
    case State::missing:
      return "No login yet. To log in:";
    case State::no_store:
      return "There is no store:";
    case State::unreadable:
      return "The store cannot be read:";
    default:
      return "Log in again:";
  }
}

std::string next_step(const Shown& shown, UnixMs now) {
  const LoginMonitor& record = *shown.record;
  std::string out;
  const std::string remedy = record.remedy(now);
  if (!remedy.empty()) out += todo("bad", what_to_do(record, now), remedy);
  if (ends_soon(record, now)) {
    const std::int64_t left = *record.seen().login->refresh_expires_at - now;
    out += todo("warn",
                left > 0 ? fmt::format("The login itself expires in {}. To log in again before that:",
                                       format_duration(left))
                         : "The login itself has expired. To log in again:",
                record.log_in());
  }
  if (record.failing_since()) {
    const auto& [reason, remedy_of_it, again] = record.obstacle();
    out += todo("warn",
                fmt::format("Renewal failing for {}{}{}.{}", format_duration(now - *record.failing_since()),
                            reason.empty() ? "" : ": ", escaped(reason), again ? " Retrying." : ""),
                remedy_of_it);
  }
  if (const Waiting* waiting = record.waiting()) {
    out += todo("warn",
                fmt::format("The renewal has been waiting for a lock for {}: {}.",
                            format_duration(now - waiting->since), escaped(waiting->reason)),
                "");
  }
  if (const Obstacle& why = record.unpublished(); !why.reason.empty())
    out += todo("bad", "Not published, so jobs do not get this login: " + escaped(why.reason), why.remedy);
  return out;
}

std::string events(const LoginMonitor& record, UnixMs now) {
  if (record.events().empty()) return "";
  std::string out = "<ol>\n";
  std::size_t shown = 0;
  for (const Event& event : record.events()) {
    if (shown++ == kEventsShown) break;
    const std::int64_t age = now - event.time;
    const std::string when = age < 1000 ? "just now" : format_duration(age) + " ago";
    out += fmt::format("<li><time datetime=\"{}\">{}</time>{}</li>\n", format_iso8601(event.time), when,
                       escaped(event.text));
  }
  return out + "</ol>\n";
}

std::string card(const Shown& shown, UnixMs now) {
  const LoginMonitor& record = *shown.record;
  return fmt::format(
      "<section>\n<h2><span>{}</span><span class=\"state {}\">{}</span></h2>\n<p class=\"who\">{}</p>\n{}{}{}"
      "</section>\n",
      escaped(record.name()), tone_of(record, now),
      record.unpublished().reason.empty() ? login::name_of(record.outcome()) : "not published", who(record),
      deadlines(shown, now), next_step(shown, now), events(record, now));
}

}  // namespace

std::string as_page(const Report& view) {
  const auto ready = std::count_if(view.stores.begin(), view.stores.end(),
                                   [](const Shown& shown) { return shown.record->ready(); });
  std::string out = fmt::format(
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta http-equiv=\"refresh\" content=\"30\">\n<title>{} of {} logins "
      "ready</title>\n<style>{}</style>\n"
      "</head>\n<body>\n<main>\n<header>\n<h1>Claude logins</h1>\n<p>{} of {} ready · {}</p>\n</header>\n"
      "<div class=\"stores\">\n",
      ready, view.stores.size(), kStyle, ready, view.stores.size(), format_utc(view.now));
  for (const Shown& shown : view.stores) out += card(shown, view.now);
  out += fmt::format(
      "</div>\n<footer>claude-init {} keep, for {} · <a href=\"/status\">status</a> · "
      "<a href=\"/metrics\">metrics</a></footer>\n</main>\n</body>\n</html>\n",
      escaped(view.version), format_duration(view.now - view.started));
  return out;
}

}  // namespace claude_init::keep
