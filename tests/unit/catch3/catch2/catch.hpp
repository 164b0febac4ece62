#pragma once

// Catch2 3, as the tests know Catch2 2: where this directory is searched, its header of that name is this
// one.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

namespace Catch::Matchers {
inline auto Contains(const std::string& text) {
  return ContainsSubstring(text);
}
}  // namespace Catch::Matchers
