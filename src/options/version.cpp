#include "options/version.h"

#include <fmt/format.h>
#include <gnu/libc-version.h>
#include <sodium/version.h>

#include <CLI/Version.hpp>
#include <boost/version.hpp>
#include <nlohmann/json.hpp>
#include <string_view>

namespace claude_init::options {

std::string version_text() {
  constexpr std::string_view kCommit = CLAUDE_INIT_COMMIT;
  return fmt::format(
      "claude-init {}{}\nBoost {}.{}.{}\nCLI11 {}\n{{fmt}} {}.{}.{}\nnlohmann/json {}.{}.{}\nlibsodium "
      "{}\nglibc {}\ncompiler {}\n",
      CLAUDE_INIT_VERSION, kCommit.empty() ? "" : fmt::format(" ({})", kCommit), BOOST_VERSION / 100000,
      BOOST_VERSION / 100 % 1000, BOOST_VERSION % 100, CLI11_VERSION, FMT_VERSION / 10000,
      FMT_VERSION / 100 % 100, FMT_VERSION % 100, NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR,
      NLOHMANN_JSON_VERSION_PATCH, SODIUM_VERSION_STRING, gnu_get_libc_version(), __VERSION__);
}

}  // namespace claude_init::options
