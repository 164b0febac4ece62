#include "base/random_name.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <array>
#include <cstdint>

namespace claude_init {

std::string random_name() {
  // Of so few bytes a call neither fails nor is cut short by a signal (getrandom(2)).
  std::array<std::uint64_t, 2> number{};
  static_cast<void>(::getrandom(number.data(), sizeof number, 0));
  return fmt::format("{:016x}{:016x}", number[0], number[1]);
}

}  // namespace claude_init
