#include "keep/report.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "keep/routes.h"
#include "store/inspect.h"

using namespace claude_init;
using namespace claude_init::keep;
using login::State;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;

store::Inspection usable() {
  store::Inspection out;
  out.state = State::usable;
  out.path = "/stores/dev";
  out.email = "a@example.org";
  out.login = login::Login{};
  out.login->has_access_token = out.login->has_refresh_token = true;
  out.login->expires_at = kNow + 4 * kHour;
  out.login->refresh_expires_at = kNow + 20 * 24 * kHour;
  out.login->subscription = "max";
  return out;
}

health::Context typed(std::string command) {
  health::Context context;
  context.setup_command = std::move(command);
  return context;
}

/// One that works, and one whose name and problem are hostile.
struct Two {
  LoginMonitor dev{"dev", typed("docker compose run --rm setup")};
  LoginMonitor odd{"a\"b<i>\n", typed("claude-init setup --store '<x>'")};
  Publishing dev_published;
  Publishing odd_published;
  Report view;
  Two() {
    (void)dev.observe(usable(), kNow - kHour);
    (void)dev.tried({renew::Outcome::Kind::failed, "<b>slow</b>", "", "timeout"}, kNow - 1000);
    store::Inspection broken;
    broken.state = State::malformed;
    broken.problem = "it is <script>";
    (void)odd.observe(broken, kNow - kHour);
    view.now = kNow;
    view.started = kNow - 2 * kHour;
    view.version = "0.1.0";
    dev_published.logins = 3;
    dev_published.propagation.add(0.07);
    dev_published.propagation.add(99);
    (void)odd.published({"No space left on device", "free some", true}, kNow);
    view.stores = {{&dev, kNow + kHour, &dev_published, 7}, {&odd, std::nullopt, &odd_published, 0}};
  }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the status is JSON with both deadlines and what to do", "[keep]") {
  const Two two;
  const auto status = nlohmann::json::parse(as_status(two.view));
  CHECK(status["uptime_seconds"] == 7200);
  const auto& dev = status["stores"][0];
  CHECK(dev["state"] == "usable");
  CHECK(dev["ready"] == true);
  CHECK(dev["access_token"]["expires_in_seconds"] == 4 * 3600);
  CHECK(dev["login"]["expires_in_seconds"] == 20 * 24 * 3600);
  CHECK(dev["renewal_failures"]["timeout"] == 1);
  CHECK_FALSE(dev.contains("remedy"));
  const auto& odd = status["stores"][1];
  CHECK(odd["ready"] == false);
  CHECK(odd["remedy"] == "claude-init setup --store '<x>'");
  CHECK(odd["publish_problem"] == "No space left on device");
  CHECK(odd["events"].size() == 2);
}

TEST_CASE("metrics: one state of each store is 1, deadlines in seconds, labels escaped", "[keep]") {
  const Two two;
  const std::string text = as_metrics(two.view, health::Exposition::openmetrics);
  CHECK(contains(text, "claude_init_login_state{store=\"dev\",claude_init_login_state=\"usable\"} 1\n"));
  CHECK(contains(text, "claude_init_login_state{store=\"dev\",claude_init_login_state=\"dead\"} 0\n"));
  CHECK(contains(text, "claude_init_login_ready{store=\"a\\\"b<i>\\\\x0a\"} 0\n"));
  CHECK(contains(text, "claude_init_access_token_expiry_timestamp_seconds{store=\"dev\"} 1795482730\n"));
  CHECK(contains(text, "claude_init_renewal_failures_total{store=\"dev\",kind=\"timeout\"} 1\n"));
  CHECK(contains(text, "claude_init_published_total{store=\"dev\"} 3\n"));
  CHECK(contains(text, "claude_init_captures_total{store=\"dev\"} 7\n"));
  CHECK(contains(text, "claude_init_login_rejected{store=\"dev\"} 0\n"));
  CHECK(text.ends_with("# EOF\n"));
}

TEST_CASE("a login that the server has rejected is said everywhere while it still works", "[keep]") {
  Two two;
  store::Inspection rejected = usable();
  rejected.renewal_rejected = true;
  (void)two.dev.observe(rejected, kNow);
  CHECK(contains(as_metrics(two.view, health::Exposition::text),
                 "claude_init_login_rejected{store=\"dev\"} 1\n"));
  const auto status = nlohmann::json::parse(as_status(two.view))["stores"][0];
  CHECK(status["ready"] == false);
  CHECK(status["state"] == "dead");
  CHECK(status["renewal_rejected"] == true);
  CHECK(status["remedy"] == "docker compose run --rm setup");
  CHECK(
      contains(as_metrics(two.view, health::Exposition::text), "claude_init_login_ready{store=\"dev\"} 0\n"));
  CHECK(contains(as_page(two.view), "The server has rejected this login."));
  CHECK(contains(as_page(two.view), "<title>0 of 2 logins ready</title>"));
  CHECK(contains(as_page(two.view), "<span class=\"state bad\">dead</span>"));
  const Answer ready = answer({"GET", "/readyz/dev"}, [&] { return two.view; });
  CHECK(ready.status == 503);
  CHECK(ready.body.starts_with("dev: dead\n"));
  CHECK(contains(ready.body, "→ docker compose run --rm setup"));
}

TEST_CASE("a login that cannot be published is not ready, wherever that is shown, with why and what to type",
          "[keep]") {
  Two two;
  (void)two.dev.published({"/published cannot be written: <Permission denied>", "chown it", true}, kNow);
  const auto status = nlohmann::json::parse(as_status(two.view))["stores"][0];
  CHECK(status["ready"] == false);
  CHECK(status["publish_problem"] == "/published cannot be written: <Permission denied>");
  CHECK(status["remedy"] == "chown it");
  const std::string page = as_page(two.view);
  CHECK(contains(page, "<title>0 of 2 logins ready</title>"));
  CHECK(contains(page, "<span class=\"state bad\">not published</span>"));
  CHECK(contains(page, "&lt;Permission denied&gt;</p><code>chown it</code>"));
  CHECK(
      contains(as_metrics(two.view, health::Exposition::text), "claude_init_login_ready{store=\"dev\"} 0\n"));
  CHECK(contains(as_metrics(two.view, health::Exposition::text),
                 "claude_init_publish_failing{store=\"dev\"} 1\n"));
  const Answer ready = answer({"GET", "/readyz/dev"}, [&] { return two.view; });
  CHECK(ready.status == 503);
  CHECK(contains(ready.body, "not published: /published cannot be written"));
  (void)two.dev.published({}, kNow);
  CHECK(answer({"GET", "/readyz/dev"}, [&] { return two.view; }).status == 200);
}

TEST_CASE("metrics: the histogram's buckets are cumulative", "[keep]") {
  const Two two;
  const std::string text = as_metrics(two.view, health::Exposition::openmetrics);
  CHECK(contains(text, "claude_init_propagation_seconds_bucket{store=\"dev\",le=\"0.05\"} 0\n"));
  CHECK(contains(text, "claude_init_propagation_seconds_bucket{store=\"dev\",le=\"0.1\"} 1\n"));
  CHECK(contains(text, "claude_init_propagation_seconds_bucket{store=\"dev\",le=\"10\"} 1\n"));
  CHECK(contains(text, "claude_init_propagation_seconds_bucket{store=\"dev\",le=\"+Inf\"} 2\n"));
  CHECK(contains(text, "claude_init_propagation_seconds_count{store=\"dev\"} 2\n"));
}

TEST_CASE("the page shows every store and lets nothing in it become markup", "[keep]") {
  const Two two;
  const std::string page = as_page(two.view);
  CHECK(contains(page, "<title>1 of 2 logins ready</title>"));
  CHECK(contains(page, "a@example.org · max"));
  CHECK(contains(page, "4 h left"));
  CHECK(contains(page, "20 d left"));
  CHECK(contains(page, "claude-init setup --store '&lt;x&gt;'"));
  CHECK_FALSE(contains(page, "<script"));
  CHECK_FALSE(contains(page, "<b>slow"));
  CHECK_FALSE(contains(page, "<i>"));
  CHECK_FALSE(contains(page, "http://"));
  CHECK_FALSE(contains(page, "https://"));
}

TEST_CASE("the page says what to type before a login that lives ends by itself", "[keep]") {
  const auto page_with = [](UnixMs left) {
    LoginMonitor record{"dev", typed("docker compose run --rm setup")};
    store::Inspection seen = usable();
    seen.login->refresh_expires_at = kNow + left;
    (void)record.observe(seen, kNow);
    Report view;
    view.now = kNow;
    view.stores.push_back({&record, {}, nullptr, 0});
    return as_page(view);
  };
  CHECK_FALSE(contains(page_with(8 * kDay), "docker compose"));
  const std::string soon = page_with(60 * kHour);
  CHECK(contains(soon, "The login itself expires in 2 d 12 h. To log in again before that:"));
  CHECK(contains(soon, "<code>docker compose run --rm setup</code>"));
  CHECK(contains(soon, "<span class=\"state warn\">usable</span>"));
  CHECK(contains(page_with(-kHour), "The login itself has expired."));
}

TEST_CASE("why a login is not renewed, and what to do about it, is said wherever it is shown", "[keep]") {
  LoginMonitor record("dev", typed("log in"));
  (void)record.observe(usable(), kNow - kHour);
  Report view;
  view.now = kNow;
  view.stores = {{&record, std::nullopt, nullptr, 0}};
  const auto status = [&] { return nlohmann::json::parse(as_status(view))["stores"][0]; };
  const auto ready = [&] { return answer({"GET", "/readyz/dev"}, [&] { return view; }); };
  SECTION("it is tried again") {
    (void)record.tried({renew::Outcome::Kind::failed, "no <answer>", "look at the proxy", "no-answer"},
                       kNow - 5 * kMinute);
    CHECK(contains(as_page(view),
                   "Renewal failing for 5 min: no &lt;answer&gt;. Retrying.</p>"
                   "<code>look at the proxy</code>"));
    CHECK(status()["failing_reason"] == "no <answer>");
    CHECK(status()["remedy"] == "look at the proxy");
    CHECK(ready().status == 200);
    CHECK(ready().body == "dev: usable\nnot renewed for 5 min: no <answer>\n→ look at the proxy\n");
  }
  SECTION("it is not") {
    (void)record.tried({renew::Outcome::Kind::refused, "it is a copy", "adopt it", "copied"}, kNow - kHour);
    CHECK(contains(as_page(view), "Renewal failing for 1 h: it is a copy.</p><code>adopt it</code>"));
    store::Inspection renewable = usable();
    renewable.state = State::renewable;
    (void)record.observe(renewable, kNow);
    CHECK(ready().status == 503);
    CHECK(ready().body == "dev: renewable\nnot renewed for 1 h: it is a copy\n→ adopt it\n");
  }
}

TEST_CASE("the page says what the matter is with a login that has ended, and with a store that is not there",
          "[keep]") {
  LoginMonitor record("dev", typed("log in"));
  Report view;
  view.now = kNow;
  view.stores = {{&record, std::nullopt, nullptr, 0}};
  store::Inspection ended = usable();
  ended.state = State::expired;
  ended.login->scopes = {"user:inference"};
  ended.login->refresh_expires_at = kNow;
  (void)record.observe(ended, kNow);
  CHECK(contains(as_page(view),
                 "The login has expired, as each does after about four weeks: nothing is broken."));
  ended.login->scopes.clear();  // the CLI would not have taken it before its end either
  (void)record.observe(ended, kNow);
  CHECK_FALSE(contains(as_page(view), "as each does after about four weeks: nothing is broken. To log in"));
  CHECK(contains(as_page(view), "Log in again:"));
  store::Inspection none;
  none.state = State::no_store;
  (void)record.observe(none, kNow);
  CHECK(contains(as_page(view), "There is no store:"));
}

TEST_CASE("routes: readiness of one login is that one's only", "[keep]") {
  const Two two;
  const auto get = [&](std::string_view target) { return answer({"GET", target}, [&] { return two.view; }); };
  CHECK(get("/livez").status == 200);
  CHECK(get("/readyz").status == 200);
  CHECK(get("/readyz/dev").status == 200);
  CHECK(get("/readyz/dev?verbose").status == 200);
  CHECK(get("/readyz/none").status == 404);
  CHECK(get("/nothing").status == 404);
  CHECK(get("/").type == "text/html; charset=utf-8");
  const Answer odd = get("/readyz/a\"b<i>\n");
  CHECK(odd.status == 503);
  CHECK(contains(odd.body, "malformed"));
  CHECK(contains(odd.body, "it is <script>"));
  CHECK(contains(odd.body, "→ claude-init setup"));
}

TEST_CASE("metrics are in the format that the client asks for", "[keep]") {
  const Two two;
  const auto get = [&](std::string_view accept) {
    return answer({"GET", "/metrics", accept}, [&] { return two.view; });
  };
  CHECK(get("").type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK_FALSE(contains(get("").body, "# EOF"));
  const Answer openmetrics = get("application/openmetrics-text");
  CHECK(openmetrics.type == "application/openmetrics-text; version=1.0.0; charset=utf-8");
  CHECK(openmetrics.body.ends_with("# EOF\n"));
}

TEST_CASE("what is hidden in a name is shown on the page and in the status", "[keep]") {
  store::Inspection seen = usable();
  seen.email = "a\u202e@example.org\u200b";
  LoginMonitor record("dev", typed("log in"));
  (void)record.observe(seen, kNow);
  Report view;
  view.now = kNow;
  view.stores = {{&record, std::nullopt, nullptr, 0}};
  CHECK(contains(as_page(view), "a\\xe2\\x80\\xae@example.org\\xe2\\x80\\x8b"));
  CHECK_FALSE(contains(as_page(view), "\u202e"));
  CHECK_FALSE(contains(as_status(view), "\u202e"));
  CHECK(nlohmann::json::parse(as_status(view))["stores"][0]["email"] == seen.email);
}

TEST_CASE("routes: only GET and HEAD, and probes do not build the view", "[keep]") {
  const auto never = []() -> Report { throw std::logic_error("not needed"); };
  CHECK(answer({"POST", "/livez"}, never).status == 405);
  CHECK(answer({"DELETE", "/"}, never).status == 405);
  CHECK(answer({"HEAD", "/livez"}, never).status == 200);
  CHECK(answer({"GET", "/readyz"}, never).status == 200);
}
