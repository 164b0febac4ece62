#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/result.h"

/// Two versions of one file that only ever has lines appended to it: a session, one JSON object a line.
namespace claude_init::sync {

enum class Relation {
  same,
  first_is_longer,   // the second is its beginning
  second_is_longer,  // the first is its beginning
  diverged,          // each has something that the other has not
};

struct Comparison {
  Relation relation = Relation::same;
  off_t common = 0;  // both are the same up to here: the beginning of the first line that differs
};

/// Compares the contents, read in pieces; the deadline is asked for each few. Error: one of them cannot be
/// read; limit: the deadline has come.
[[nodiscard]] Result<Comparison> compare_contents(int first, int second, const Deadline& deadline = {});

/// The lines of `theirs` that `ours` does not have, in their order, each with its newline. Both are what
/// comes behind the common part; a line that both have written is one and the same. Nothing where one of them
/// has more than kMostLines: to compare these would take its time, which a job could make anything.
inline constexpr std::size_t kMostLines = 250'000;
[[nodiscard]] std::optional<std::string> missing_lines(std::string_view ours, std::string_view theirs);

}  // namespace claude_init::sync
