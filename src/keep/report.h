#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "health/prometheus.h"
#include "keep/login_monitor.h"

/// What the keeper shows to machines and people. Pure; nothing in it is a secret.
namespace claude_init::keep {

/// From a change of the store to its being published, in seconds: a Prometheus histogram.
struct Histogram {
  static constexpr std::size_t kBounds = 8;
  static constexpr double kUpper[kBounds] = {0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10};
  std::uint64_t buckets[kBounds] = {};  // not cumulative
  std::uint64_t count = 0;
  double sum = 0;
  void add(double seconds);
};

/// How publishing goes.
struct Publishing {
  std::uint64_t logins = 0;  // how often a login was put into a published store
  Histogram propagation;
};

/// One store as it is shown.
struct Shown {
  const LoginMonitor* record = nullptr;
  std::optional<UnixMs> next_renewal;
  const Publishing* publishing = nullptr;  // nullptr: it is not published
  std::uint64_t captures = 0;              // that changed its login files, by any process
  std::string cli{};                       // what renews it: "2.1.332 (tested)"; "" if it is not known
};

struct Report {
  UnixMs now = 0;
  UnixMs started = 0;
  std::string version;
  std::vector<Shown> stores;
  std::uint64_t hook_runs = 0;
  std::map<int, std::uint64_t> hook_failures;  // by exit status
};

/// One JSON object, with a newline.
[[nodiscard]] std::string as_status(const Report& view);

[[nodiscard]] std::string as_metrics(const Report& view, health::Exposition exposition);

/// One self-contained HTML page: nothing is fetched from elsewhere, no script.
[[nodiscard]] std::string as_page(const Report& view);

}  // namespace claude_init::keep
