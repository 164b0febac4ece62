#include "base/random.h"

#include <fmt/format.h>
#include <sys/random.h>

namespace claude_init {

std::uint64_t random_number() {
  std::uint64_t number = 0;
  static_cast<void>(::getrandom(&number, sizeof number, 0));
  return number;
}

std::string random_name() {
  return fmt::format("{:016x}{:016x}", random_number(), random_number());
}

}  // namespace claude_init
