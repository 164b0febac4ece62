#include "health/prometheus.h"

#include <catch2/catch.hpp>
#include <utility>

#include "store/inspect.h"

using namespace claude_init;
using namespace claude_init::health;
using login::State;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;

store::Inspection usable() {
  store::Inspection out;
  out.state = State::usable;
  out.login = login::Login{};
  out.login->has_access_token = true;
  out.login->expires_at = kNow + 4 * kHour;
  out.login->refresh_expires_at = kNow + 20 * 24 * kHour + 250;
  return out;
}

std::string of_two(Exposition exposition) {
  const store::Inspection good = usable();
  store::Inspection odd;
  odd.state = State::no_store;
  Metrics metrics(exposition);
  add_logins(metrics, {{"dev", &good, good.state, true}, {"a\"b\\\n", &odd, odd.state, false}}, kNow);
  return std::move(metrics).finish();
}

using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;

}  // namespace

TEST_CASE("metrics: one state of each store is 1, all others are 0", "[prometheus]") {
  const std::string text = of_two(Exposition::openmetrics);
  for (const State state : login::kStates) {
    const std::string name(login::name_of(state));
    const auto line = [&](const char* store, bool set) {
      return std::string("claude_init_login_state{store=\"") + store + "\",claude_init_login_state=\"" +
             name + "\"} " + (set ? "1\n" : "0\n");
    };
    CHECK_THAT(text, Contains(line("dev", state == State::usable)));
    CHECK_THAT(text, Contains(line("a\\\"b\\\\\\\\x0a", state == State::no_store)));
  }
  CHECK_THAT(text, Contains("claude_init_login_ready{store=\"dev\"} 1\n"));
  CHECK_THAT(text, Contains("claude_init_login_ready{store=\"a\\\"b\\\\\\\\x0a\"} 0\n"));
}

TEST_CASE("metrics: both deadlines as times and as what is left, of who has one", "[prometheus]") {
  const std::string text = of_two(Exposition::openmetrics);
  CHECK_THAT(text,
             Contains("\nclaude_init_access_token_expiry_timestamp_seconds{store=\"dev\"} 1795482730\n#"));
  CHECK_THAT(text, Contains("\nclaude_init_access_token_remaining_seconds{store=\"dev\"} 14400\n#"));
  CHECK_THAT(text, Contains("\nclaude_init_login_expiry_timestamp_seconds{store=\"dev\"} 1797196330.25\n#"));
  CHECK_THAT(text, Contains("\nclaude_init_login_remaining_seconds{store=\"dev\"} 1728000.25\n#"));
}

TEST_CASE("metrics: each format has the heads that its readers understand, and the same samples",
          "[prometheus]") {
  const auto written = [](Exposition exposition) {
    Metrics metrics(exposition);
    metrics.family("runs", "counter", "Runs.");
    metrics.sample("runs_total", "", 3);
    metrics.family("build", "info", "What runs.");
    metrics.sample("build_info", "version=\"1\"", 1);
    metrics.family("state", "stateset", "State.");
    metrics.sample("state", "state=\"a\"", 1);
    return std::move(metrics).finish();
  };
  CHECK(written(Exposition::openmetrics) ==
        "# TYPE runs counter\n# HELP runs Runs.\nruns_total 3\n"
        "# TYPE build info\n# HELP build What runs.\nbuild_info{version=\"1\"} 1\n"
        "# TYPE state stateset\n# HELP state State.\nstate{state=\"a\"} 1\n# EOF\n");
  CHECK(written(Exposition::text) ==
        "# TYPE runs_total counter\n# HELP runs_total Runs.\nruns_total 3\n"
        "# TYPE build_info gauge\n# HELP build_info What runs.\nbuild_info{version=\"1\"} 1\n"
        "# TYPE state gauge\n# HELP state State.\nstate{state=\"a\"} 1\n");
}
