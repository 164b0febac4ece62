#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "keep/report.h"

/// What is answered to which request. Pure.
namespace claude_init::keep {

struct Request {
  std::string_view method;
  std::string_view target;
  std::string_view accept{};  // its Accept fields, separated by commas
};

struct Answer {
  unsigned status = 200;
  std::string_view type = "text/plain; charset=utf-8";
  std::string body;
};

/// /livez, /readyz, /readyz/NAME, /status, /metrics, /. `view` is called only where it is needed. GET and
/// HEAD only: 405 for everything else; 404 for what there is not.
[[nodiscard]] Answer answer(const Request& request, const std::function<Report()>& view);

}  // namespace claude_init::keep
