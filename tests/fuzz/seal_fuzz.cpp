// libFuzzer over what opens a sealed login: whoever can write to a store can write one. No input may crash
// it, none opens that was not sealed, and what was sealed opens as it was.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "linear.h"
#include "seal/seal.h"

using namespace claude_init::seal;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

const Seal& the_seal() {
  static const Seal seal = [] {
    auto key = Key::derive(claude_init::Secret("FAKE key of the fuzzer, which is long enough"));
    require(key.ok());
    return Seal(std::move(*key));
  }();
  return seal;
}

const Home& the_home() {
  static const Home home{"00112233445566778899aabbccddeeff", {}};
  return home;
}

void require_refused(std::string_view sealed) {
  const auto opened = the_seal().open(sealed, the_home());
  require(!opened && !opened.error().what.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  require_refused(text);
  const std::string sealed = the_seal().close(text, the_home().name);
  const auto opened = the_seal().open(sealed, the_home());
  require(opened && opened->text.reveal() == text);
  // The input in the place of what begins it: the fuzzer cannot guess the names of key and store.
  std::string other = sealed;
  other.replace(0, size, text);
  if (other != sealed) require_refused(other);
  require_refused(sealed.substr(0, 68) + std::string(text));
  if (claude_init::fuzz::now_and_then() && size > 0) {
    claude_init::fuzz::require_linear(
        [&](std::size_t bytes) {
          return the_seal().close(claude_init::fuzz::repeated(text, "", bytes), the_home().name);
        },
        [](std::string_view whole) { (void)the_seal().open(whole, the_home()); });
  }
  return 0;
}
