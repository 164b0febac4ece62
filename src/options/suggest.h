#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace claude_init::options {

/// The candidate that `word` was probably meant to be: at most two edits (insert, delete, change, swap of
/// neighbours) away and less than half of the word; "" if there is none.
[[nodiscard]] std::string closest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace claude_init::options
