#include "seal/seal.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <string>

using namespace claude_init;
using namespace claude_init::seal;

namespace {

constexpr std::string_view kKeyFile = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kStore = "00112233445566778899aabbccddeeff";
constexpr std::string_view kText = R"({"claudeAiOauth":{"refreshToken":"FAKE-refresh-1"}})";

Key key_from(std::string_view text) {
  auto key = Key::derive(Secret(std::string(text)));
  REQUIRE(key.ok());
  return std::move(*key);
}

Seal seal_with(std::string_view text) {
  return Seal(key_from(text));
}

Home home(std::string_view name, std::string_view before = "") {
  return {std::string(name), before.empty() ? std::vector<std::string>() : std::vector{std::string(before)}};
}

Nonce counted_nonce() {
  Nonce nonce{};
  std::iota(nonce.begin(), nonce.end(), static_cast<unsigned char>(0));
  return nonce;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

// The bytes are those of tests/sealed_format.py, which has no library of ours, nor libsodium.
TEST_CASE("a sealed text has exactly these bytes") {
  const std::string head =
      "636c617564652d696e6974207365616c0100000071f8aab059b9f41cb6a90e9abbd91cebb889c2a4a3a1428e"
      "000102030405060708090a0b0c0d0e0f1011121314151617";
  const Seal seal = seal_with(kKeyFile);
  CHECK(hex(seal.close("", kStore, counted_nonce())) == head + "752a3999d295c5d3f8af24c863ed19c6");
  CHECK(hex(seal.close(kText, kStore, counted_nonce())) ==
        head +
            "c90df9a234c1b78f439196ca563a43cfcfd7b2617dfbc89bdcab1cf2f12ddf65423c911c41681ffb2879ba4f5af72977"
            "cd8e0774b5c54feeafd954dbcc75119e67caf1");
}

TEST_CASE("what is sealed opens with the key and in the store that it was sealed for") {
  const Seal seal = seal_with(kKeyFile);
  const std::string sealed = seal.close(kText, kStore);
  CHECK(sealed.size() == kText.size() + kOverhead);
  CHECK(sealed.find("FAKE") == std::string::npos);
  const auto opened = seal.open(sealed, home(kStore));
  REQUIRE(opened.ok());
  CHECK(opened->text.reveal() == kText);
  CHECK(opened->current);
  CHECK(seal.close(kText, kStore) != sealed);  // another nonce
}

TEST_CASE("newlines at the end of a key file are not of the key") {
  const std::string file(kKeyFile);
  const std::string sealed = seal_with(file).close(kText, kStore);
  for (const char* end : {"\n", "\r\n", "\n\n"}) CHECK(seal_with(file + end).open(sealed, home(kStore)).ok());
  CHECK_FALSE(seal_with(file + " ").open(sealed, home(kStore)).ok());
}

TEST_CASE("a key file that is too short is refused with how to make one") {
  for (const std::string& file : {std::string(), std::string(31, 'k'), std::string(31, 'k') + "\n\n"}) {
    const auto key = Key::derive(Secret(std::string(file)));
    REQUIRE_FALSE(key.ok());
    CHECK(key.error().kind == ErrorKind::usage);
    CHECK(key.error().what.find("31") == (file.empty() ? std::string::npos : key.error().what.find("31")));
    CHECK(key.error().remedy.find("openssl rand -hex 32") != std::string::npos);
  }
}

TEST_CASE("no text opens in which a single bit was flipped") {
  const Seal seal = seal_with(kKeyFile);
  const std::string sealed = seal.close(kText, kStore);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string other = sealed;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ 1 << bit % 8);
    INFO("bit " << bit);
    const auto opened = seal.open(other, home(kStore));
    REQUIRE_FALSE(opened.ok());
    // What it says of its key, its store and its version may be true of another one.
    const bool said = bit >= 16 * 8 && bit < 44 * 8;
    CHECK(opened.error().kind == (said ? ErrorKind::usage : ErrorKind::invalid));
  }
}

TEST_CASE("no text opens that was cut, or has something behind it") {
  const Seal seal = seal_with(kKeyFile);
  const std::string sealed = seal.close(kText, kStore);
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    INFO("size " << size);
    const auto opened = seal.open(sealed.substr(0, size), home(kStore));
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().kind == ErrorKind::invalid);
  }
  CHECK_FALSE(seal.open(sealed + '\0', home(kStore)).ok());
}

TEST_CASE("another key, another store, a later version and a damaged text are told from each other") {
  const Seal seal = seal_with(kKeyFile);
  const std::string sealed = seal.close(kText, kStore);
  const auto with_another_key = seal_with(std::string(32, 'x')).open(sealed, home(kStore));
  const auto in_another_store = seal.open(sealed, home("another"));
  std::string later = sealed;
  later[16] = 2;
  const auto of_a_later_version = seal.open(later, home(kStore));
  std::string torn = sealed;
  torn.back() ^= 1;
  const auto damaged = seal.open(torn, home(kStore));
  CHECK(with_another_key.error().message() == "was sealed with another key");
  CHECK(with_another_key.error().remedy.find("--old-seal-key") != std::string::npos);
  CHECK(in_another_store.error().message() == "is another store's");
  CHECK(of_a_later_version.error().message() == "has format 2, which this version does not know");
  CHECK(damaged.error().message() == "is damaged: its bytes are not those that were written");
}

TEST_CASE("the old key opens, and does not seal") {
  const std::string by_old = seal_with(kKeyFile).close(kText, kStore);
  const Seal both(key_from(std::string(32, 'n')), key_from(kKeyFile));
  const auto opened = both.open(by_old, home(kStore));
  REQUIRE(opened.ok());
  CHECK_FALSE(opened->current);
  const std::string anew = both.close(kText, kStore);
  CHECK(both.open(anew, home(kStore))->current);
  CHECK_FALSE(seal_with(kKeyFile).open(anew, home(kStore)).ok());
}

TEST_CASE("a store that was taken over opens what was sealed under its former name") {
  const Seal seal = seal_with(kKeyFile);
  const std::string sealed = seal.close(kText, kStore);
  const auto opened = seal.open(sealed, home("new", kStore));
  REQUIRE(opened.ok());
  CHECK_FALSE(opened->current);
  CHECK(seal.open(seal.close(kText, "new"), home("new", kStore))->current);
  CHECK_FALSE(seal.open(sealed, home("new", "other")).ok());
}
