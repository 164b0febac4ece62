#include "sync/jsonl_merge.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace claude_init::sync {
namespace {

constexpr std::size_t kPiece = 64 << 10;

/// As many bytes from `offset` on as there are, at most `piece.size()`.
Result<std::string_view> read_piece(int fd, off_t offset, std::vector<char>& piece) {
  std::size_t used = 0;
  while (used < piece.size()) {
    const ssize_t n =
        ::pread(fd, piece.data() + used, piece.size() - used, offset + static_cast<off_t>(used));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error(errno, "read");
    if (n == 0) break;
    used += static_cast<std::size_t>(n);
  }
  return std::string_view(piece.data(), used);
}

/// The next line without its newline, taken off the text.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

bool has_too_many_lines(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) > kMostLines;
}

}  // namespace

Result<Comparison> compare_contents(int first, int second, const Deadline& deadline) {
  constexpr unsigned kAskAfter = 64;  // pieces
  std::vector<char> first_piece(kPiece);
  std::vector<char> second_piece(kPiece);
  off_t line = 0;  // where the line that is being compared begins
  unsigned pieces = 0;
  for (off_t at = 0;;) {
    if (++pieces % kAskAfter == 0 && deadline.has_come())
      return make_error(ErrorKind::limit, "there was no time to compare it");
    const auto a = read_piece(first, at, first_piece);
    const auto b = read_piece(second, at, second_piece);
    if (!a) return a.error();
    if (!b) return b.error();
    const auto same = static_cast<std::size_t>(
        std::mismatch(a->begin(), a->end(), b->begin(), b->end()).first - a->begin());
    const std::size_t newline = a->substr(0, same).rfind('\n');
    if (newline != std::string_view::npos) line = at + static_cast<off_t>(newline) + 1;
    at += static_cast<off_t>(same);
    if (same == kPiece) continue;
    if (same < a->size() && same < b->size()) return Comparison{Relation::diverged, line};
    if (same < a->size()) return Comparison{Relation::first_is_longer, at};
    if (same < b->size()) return Comparison{Relation::second_is_longer, at};
    return Comparison{Relation::same, at};
  }
}

std::optional<std::string> missing_lines(std::string_view ours, std::string_view theirs) {
  if (has_too_many_lines(ours) || has_too_many_lines(theirs)) return std::nullopt;
  // Sorted, not hashed: who writes the lines could choose ones that collide.
  std::vector<std::string_view> known;
  while (!ours.empty()) known.push_back(take_line(ours));
  std::sort(known.begin(), known.end());
  std::string missing;
  while (!theirs.empty()) {
    const std::string_view line = take_line(theirs);
    if (!line.empty() && !std::binary_search(known.begin(), known.end(), line))
      missing.append(line).push_back('\n');
  }
  return missing;
}

}  // namespace claude_init::sync
