#include "seal/seal.h"

#include <sodium.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>

// sodium_init() prepares all that libsodium has, and would link it: 130 kB of what nothing here calls. In
// their place these do nothing. A libsodium that names them otherwise links more, and works.
extern "C" {
int claude_init_no_argon2() asm("_crypto_pwhash_argon2_pick_best_implementation");
int claude_init_no_curve25519() asm("_crypto_scalarmult_curve25519_pick_best_implementation");
int claude_init_no_salsa20() asm("_crypto_stream_salsa20_pick_best_implementation");
[[gnu::used]] int claude_init_no_argon2() {
  return 0;
}
[[gnu::used]] int claude_init_no_curve25519() {
  return 0;
}
[[gnu::used]] int claude_init_no_salsa20() {
  return 0;
}
}

namespace claude_init::seal {
namespace {

constexpr std::string_view kMagic = "claude-init seal";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kVersionAt = 16;
constexpr std::size_t kKeyAt = 20;
constexpr std::size_t kStoreAt = 28;
constexpr std::size_t kNonceAt = 44;
constexpr std::size_t kTextAt = kNonceAt + kNonceBytes;

static_assert(kTextAt + crypto_aead_xchacha20poly1305_ietf_ABYTES == kOverhead);
static_assert(kNonceBytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(kMagic.size() == crypto_generichash_blake2b_PERSONALBYTES);

using KeyName = std::array<unsigned char, 8>;
using StoreName = std::array<unsigned char, kNonceAt - kStoreAt>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());  // NOLINT: the same bytes
}

unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());  // NOLINT: the same bytes
}

template <std::size_t N>
void hash(std::array<unsigned char, N>& to, std::string_view text, const char (&personal)[17]) {
  // Fails only for sizes that are out of range.
  static_assert(N <= crypto_generichash_blake2b_BYTES_MAX);
  static_cast<void>(crypto_generichash_blake2b_salt_personal(
      to.data(), N, bytes_of(text), text.size(), nullptr, 0, nullptr, bytes_of(std::string_view(personal))));
}

StoreName name_of(std::string_view store) {
  StoreName name{};
  hash(name, store, "claude-init home");
  return name;
}

/// The fixed part in front, and the store's name behind it, which is not written down.
std::string authenticated(std::string_view sealed, std::string_view store) {
  return std::string(sealed.substr(0, kNonceAt)).append(store);
}

std::uint32_t version_of(std::string_view sealed) {
  std::uint32_t version = 0;
  for (std::size_t i = 4; i-- > 0;) version = version << 8 | bytes_of(sealed)[kVersionAt + i];
  return version;
}

template <std::size_t N>
bool has(std::string_view sealed, std::size_t at, const std::array<unsigned char, N>& what) {
  return std::equal(what.begin(), what.end(), bytes_of(sealed.substr(at)));
}

Error damaged(const char* how) {
  return make_error(ErrorKind::invalid, std::string("is damaged: ") + how);
}

}  // namespace

Key::Key(Key&& other) noexcept : bytes_(other.bytes_), name_(other.name_) {
  sodium_memzero(other.bytes_.data(), other.bytes_.size());
}

Key::~Key() {
  sodium_memzero(bytes_.data(), bytes_.size());
}

Result<Key> Key::derive(const Secret& file) {
  std::string_view content = file.reveal();
  while (content.ends_with('\n') || content.ends_with('\r')) content.remove_suffix(1);
  if (content.size() < kLeastKeyBytes) {
    return make_error(ErrorKind::usage,
                      "has " + std::to_string(content.size()) + " bytes, and a key has at least " +
                          std::to_string(kLeastKeyBytes),
                      "make one: (umask 077; openssl rand -hex 32 > FILE)");
  }
  if (sodium_init() < 0) return make_error(ErrorKind::system, "libsodium cannot be used here");
  Key key;
  hash(key.bytes_, content, "claude-init seal");
  const std::string_view bytes(reinterpret_cast<const char*>(key.bytes_.data()),  // NOLINT: the same bytes
                               key.bytes_.size());
  hash(key.name_, bytes, "claude-init name");
  return key;
}

std::string Seal::close(std::string_view text, std::string_view store) const {
  Nonce nonce{};
  randombytes_buf(nonce.data(), nonce.size());
  return close(text, store, nonce);
}

std::string Seal::close(std::string_view text, std::string_view store, const Nonce& nonce) const {
  std::string sealed(kOverhead + text.size(), '\0');
  unsigned char* const to = bytes_of(sealed);
  std::memcpy(to, kMagic.data(), kMagic.size());
  for (std::size_t i = 0; i < 4; ++i) to[kVersionAt + i] = kVersion >> 8 * i & 0xff;
  std::copy(key_.name_.begin(), key_.name_.end(), to + kKeyAt);
  const StoreName home = name_of(store);
  std::copy(home.begin(), home.end(), to + kStoreAt);
  std::copy(nonce.begin(), nonce.end(), to + kNonceAt);
  const std::string with = authenticated(sealed, store);
  static_cast<void>(crypto_aead_xchacha20poly1305_ietf_encrypt(
      to + kTextAt, nullptr, bytes_of(text), text.size(), bytes_of(std::string_view(with)), with.size(),
      nullptr, nonce.data(), key_.bytes_.data()));
  return sealed;
}

/// 1. What it says of itself.
/// 2. The key and the store that it names.
/// 3. All of it, with those.
Result<Opened> Seal::open(std::string_view sealed, const Home& home) const {
  // 1.
  if (!is_sealed(sealed)) return damaged("it is no sealed login");
  if (sealed.size() < kOverhead) return damaged("its end is missing");
  if (version_of(sealed) != kVersion) {
    return make_error(
        ErrorKind::usage,
        "has format " + std::to_string(version_of(sealed)) + ", which this version does not know",
        "use a later claude-init");
  }
  // 2.
  const bool is_old = old_ && has(sealed, kKeyAt, old_->name_) && !has(sealed, kKeyAt, key_.name_);
  const Key& key = is_old ? *old_ : key_;
  if (!has(sealed, kKeyAt, key.name_)) {
    return make_error(ErrorKind::usage, "was sealed with another key",
                      "name that key's file: --seal-key FILE; to seal with a new one, the old one too: "
                      "--old-seal-key FILE");
  }
  const auto is_of = [&](const std::string& name) { return has(sealed, kStoreAt, name_of(name)); };
  const auto former = std::find_if(home.before.begin(), home.before.end(), is_of);
  const bool is_former = !is_of(home.name) && former != home.before.end();
  const std::string& store = is_former ? *former : home.name;
  if (!is_of(store)) {
    return make_error(ErrorKind::usage, "is another store's",
                      "put this store's own back, or remove the file and log in anew");
  }
  // 3.
  std::string text(sealed.size() - kOverhead, '\0');
  const std::string with = authenticated(sealed, store);
  const int refused = crypto_aead_xchacha20poly1305_ietf_decrypt(
      bytes_of(text), nullptr, nullptr, bytes_of(sealed) + kTextAt, sealed.size() - kTextAt,
      bytes_of(std::string_view(with)), with.size(), bytes_of(sealed) + kNonceAt, key.bytes_.data());
  if (refused != 0) return damaged("its bytes are not those that were written");
  return Opened{Secret(std::move(text)), !is_old && !is_former};
}

bool is_sealed(std::string_view text) {
  return text.starts_with(kMagic);
}

}  // namespace claude_init::seal
