// libFuzzer over what reads a `.claude.json`, which may be of any size: no input may crash it, a text that comes in
// pieces is the same text, an edit that changes nothing changes nothing, and what it costs grows with its length.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "linear.h"
#include "login/json.h"
#include "login/login.h"

using namespace claude_init;
using namespace claude_init::login;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

Pieces in_pieces(std::string_view text, std::size_t size) {
  return [=]() mutable {
    const std::string_view piece = text.substr(0, size);
    text.remove_prefix(piece.size());
    return piece;
  };
}

void read_all(std::string_view text) {
  (void)is_json_object(whole(text));
  (void)account_email(whole(text));
  (void)json_member(whole(text), "a", {});
  (void)edit_json_object(text, {[](const JsonPath& path) { return path.back() == "b"; }}, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const bool whole_is = is_json_object(whole(text));
  const std::string email = account_email(whole(text));
  for (const std::size_t piece : {1, 3, 4096}) {
    require(is_json_object(in_pieces(text, piece)) == whole_is);
    require(account_email(in_pieces(text, piece)) == email);
  }
  const JsonEdit none{[](const JsonPath&) { return false; }};
  const auto same = edit_json_object(text, none, {});
  require(same.ok() == whole_is);
  if (same) {
    // Without blanks it is as the library writes it itself, but for members of one name, which all stay.
    const auto again = edit_json_object(*same, none, {});
    require(again.ok() && *again == *same);
    require(nlohmann::ordered_json::parse(*same, nullptr, false) ==
            nlohmann::ordered_json::parse(text, nullptr, false));
  }
  const auto dropped =
      edit_json_object(text, {[](const JsonPath& path) { return path.back() == "refreshToken"; }}, {});
  require(dropped.ok() == whole_is);
  if (fuzz::now_and_then() && size > 0) {
    fuzz::require_linear([&](std::size_t bytes) { return fuzz::repeated(text, "", bytes); }, read_all);
    fuzz::require_linear(
        [&](std::size_t bytes) { return "{\"a\":[" + fuzz::repeated(text, ",", bytes) + "]}"; }, read_all);
    fuzz::require_linear(
        [&](std::size_t bytes) { return "{\"b\":" + fuzz::repeated(text, ",\"a\":", bytes) + "}"; }, read_all);
  }
  return 0;
}
