#pragma once

#include <cstdint>
#include <string_view>

namespace claude_init {

inline constexpr std::uint64_t kFnvBasis = 14695981039346656037U;

/// FNV-1a, 64 bits; text that comes in pieces: the hash of the pieces before as `hash`.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t hash = kFnvBasis) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
  return hash;
}

}  // namespace claude_init
