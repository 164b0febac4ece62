// libFuzzer over everything that reads a login: no input may crash, be quoted, or leave a refresh token in
// the copy that is made without one.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "linear.h"
#include "login/login.h"

using namespace claude_init::login;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr claude_init::UnixMs kNow = 1'795'468'330'000;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Judged judged = judge_file(text, kNow);
  if (judged.login.has_value() != judged.problem.empty()) std::abort();

  const auto copy = without_refresh_token(text);
  if (judged.login && !copy) std::abort();
  if (copy) {
    const Judged again = judge_file(copy->reveal(), kNow);
    if (judged.login && (!again.login || again.login->has_refresh_token)) std::abort();
  }
  // The two halves of the input as the two sides of a comparison: a store that works is never given up for a
  // source that does not.
  const std::string_view source = text.substr(0, size / 2);
  const std::string_view store = text.substr(size / 2);
  for (const bool allow : {false, true}) {
    const Verdict verdict = compare(source, store, kNow, {allow});
    const bool source_works =
        verdict.source_state == State::usable || verdict.source_state == State::renewable;
    if (verdict.choice == Choice::take && !source_works) std::abort();
  }
  if (compare(text, text, kNow, {}).choice != Choice::same) std::abort();
  using claude_init::fuzz::repeated;
  if (claude_init::fuzz::now_and_then() && size > 0) {
    const auto read = [](std::string_view file) {
      (void)judge_file(file, kNow);
      (void)without_refresh_token(file);
    };
    claude_init::fuzz::require_linear(
        [&](std::size_t bytes) { return "{\"claudeAiOauth\":[" + repeated(text, ",", bytes) + "]}"; }, read);
    claude_init::fuzz::require_linear(
        [&](std::size_t bytes) { return "{\"x\":" + repeated(text, ",\"y\":", bytes) + "}"; }, read);
  }
  return 0;
}
