#pragma once

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "store/inspect.h"
#include "store/store.h"

/// Metrics as text, which Prometheus reads.
namespace claude_init::health {

/// The two formats differ in their heads only: every sample has the same name and labels in both.
enum class Exposition {
  openmetrics,  // OpenMetrics 1.0: what a scrape over HTTP asks for
  text,         // Prometheus' text format 0.0.4: what a textfile collector takes
};

/// A label's value between its quotes: made printable, backslash and quote escaped.
[[nodiscard]] std::string metric_label(std::string_view text);

/// Builds the text family by family; a family's samples follow its head.
class Metrics {
 public:
  explicit Metrics(Exposition exposition = Exposition::openmetrics) : exposition_(exposition) {}

  /// `name` and `type` as in OpenMetrics: a counter's without "_total", an info's without "_info".
  void family(std::string_view name, std::string_view type, std::string_view help);
  /// `name` with its suffix; `labels` without the braces, "" for none.
  template <class Value>
  void sample(std::string_view name, std::string_view labels, Value value) {
    if (labels.empty()) {
      fmt::format_to(std::back_inserter(text_), "{} {}\n", name, value);
    } else {
      fmt::format_to(std::back_inserter(text_), "{}{{{}}} {}\n", name, labels, value);
    }
  }
  /// The whole, with what ends it.
  [[nodiscard]] std::string finish() &&;

 private:
  Exposition exposition_;
  std::string text_;
};

/// A store under the name that tells it from others, and what is judged of it.
struct NamedStore {
  std::string name;
  const store::Inspection* seen = nullptr;
  login::State state = login::State::no_store;  // what the login comes to
  bool ready = false;
};

/// State (a state set), readiness and both deadlines of each login: as times, which stay true in a text that
/// is read later, and as the seconds that are left at `now`.
void add_logins(Metrics& metrics, const std::vector<NamedStore>& stores, UnixMs now);

}  // namespace claude_init::health
