#pragma once

// Catch2 3, as the tests know Catch2 2: where this directory is searched, its header of that name is this
// one.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#ifdef CATCH_CONFIG_EXTERNAL_INTERFACES
#include <catch2/catch_test_case_info.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#endif

namespace Catch {
#ifdef CATCH_CONFIG_EXTERNAL_INTERFACES
using TestEventListenerBase = EventListenerBase;
#endif
namespace Matchers {
inline auto Contains(const std::string& text) {
  return ContainsSubstring(text);
}
}  // namespace Matchers
}  // namespace Catch
