#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

/// A text that only the owner of a key reads, bound to the store that it belongs to. libsodium does it:
/// XChaCha20-Poly1305 (IETF), BLAKE2b. Pure.
///
// clang-format off
/// | offset | bytes | what                                                                                    |
/// |--------|-------|-----------------------------------------------------------------------------------------|
/// |      0 |    16 | "claude-init seal"                                                                      |
/// |     16 |     4 | version, little endian: 1                                                               |
/// |     20 |     8 | which key: BLAKE2b-64 of the key, personalised with "claude-init name"                  |
/// |     28 |    16 | which store: BLAKE2b-128 of the store's name, personalised with "claude-init home"      |
/// |     44 |    24 | nonce, random                                                                           |
/// |     68 |     n | the text, encrypted; the 44 bytes in front and the store's name are authenticated too   |
/// | 68 + n |    16 | tag                                                                                     |
// clang-format on
///
/// The key is BLAKE2b-256 of the key file's bytes without newlines at the end, personalised with
/// "claude-init seal".
namespace claude_init::seal {

inline constexpr std::size_t kLeastKeyBytes = 32;
inline constexpr std::size_t kNonceBytes = 24;
inline constexpr std::size_t kOverhead = 68 + 16;  // what a sealed text has more than the text

using Nonce = std::array<unsigned char, kNonceBytes>;

/// Wiped when it is destroyed.
class Key {
 public:
  /// Of a key file's content. Error usage: shorter than kLeastKeyBytes without newlines at its end.
  [[nodiscard]] static Result<Key> derive(const Secret& file);
  Key(Key&& other) noexcept;
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  Key& operator=(Key&&) = delete;
  ~Key();

 private:
  friend class Seal;
  Key() = default;
  std::array<unsigned char, 32> bytes_{};
  std::array<unsigned char, 8> name_{};
};

/// The names of a store: its own, and those that it had before it was taken over.
struct Home {
  std::string name;
  std::vector<std::string> before{};
};

struct Opened {
  Secret text;
  bool current = true;  // false: by the old key, or under a former name of the store
};

/// One key that seals, and perhaps an older one that opens.
class Seal {
 public:
  explicit Seal(Key key, std::optional<Key> old = std::nullopt)
      : key_(std::move(key)), old_(std::move(old)) {}

  [[nodiscard]] std::string close(std::string_view text, std::string_view store) const;
  /// The same with this nonce, which must never be used twice with one key: for tests of the format.
  [[nodiscard]] std::string close(std::string_view text, std::string_view store, const Nonce& nonce) const;

  /// Errors: invalid (damaged), usage (of a later version, sealed with another key, another store's). None
  /// quotes anything.
  [[nodiscard]] Result<Opened> open(std::string_view sealed, const Home& home) const;

 private:
  Key key_;
  std::optional<Key> old_;
};

/// Whether a text begins as a sealed one.
[[nodiscard]] bool is_sealed(std::string_view text);

}  // namespace claude_init::seal
