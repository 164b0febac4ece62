#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// JSON that others have written. Each text is read once, from front to back: time grows with its length and
/// no faster, and memory holds what is asked for, not the document. Errors: kind invalid; none quotes the
/// text.
namespace claude_init::login {

/// What a text may cost.
struct JsonLimits {
  std::size_t depth = 64;  // of arrays and objects in each other: deeper than anything the CLI writes
  std::size_t tokens = std::numeric_limits<std::size_t>::max();  // keys, values and ends
};

/// The next piece of a text; "" at its end, and from then on.
using Pieces = std::function<std::string_view()>;
[[nodiscard]] Pieces whole(std::string_view text);  // in one piece

/// Error: the text is not a JSON object, or exceeds the limits.
[[nodiscard]] Result<void> check_json_object(const Pieces& text, const JsonLimits& limits);

/// The member `key` of the object that the text is; null where there is none. Of two with that name the later
/// one, as in the CLI, unless `stop_there`: then the first, and what follows it is not read. The member
/// itself may have 10 000 tokens.
[[nodiscard]] Result<nlohmann::json> json_member(const Pieces& text, std::string_view key,
                                                 const JsonLimits& limits, bool stop_there = false);

/// The keys that lead to a member, its own last; "" for an array on the way.
using JsonPath = std::vector<std::string>;

/// What is changed in a document, member by member.
struct JsonEdit {
  std::function<bool(const JsonPath& path)> drops;
  /// `"key":value` to be added at the end of the object there; "" for nothing.
  std::function<std::string_view(const JsonPath& path)> adds = {};
};

/// The document with that done to it, without blanks between its tokens. All else stays as it is and in its
/// place, members that we do not know and several of one name too.
[[nodiscard]] Result<std::string> edit_json_object(std::string_view text, const JsonEdit& edit,
                                                   const JsonLimits& limits);

}  // namespace claude_init::login
