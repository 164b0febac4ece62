#include "store/journal.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/crc.hpp>
#include <climits>
#include <optional>
#include <string_view>

#include "base/text.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

constexpr std::string_view kHeader = "claude-init journal 1";
constexpr std::size_t kMaxStagedName = 32;

Error damaged(std::string_view why) {
  return make_error(ErrorKind::invalid, "the journal " + std::string(why));
}

std::uint32_t checksum(std::string_view text) {
  boost::crc_32_type crc;
  crc.process_bytes(text.data(), text.size());
  return crc.checksum();
}

void append_path(std::string& out, std::string_view path) {
  for (const char c : path) {
    if (c > ' ' && c < 0x7f && c != '%') {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02x}", static_cast<unsigned char>(c));
    }
  }
}

std::optional<std::string> decoded(std::string_view text) {
  std::string path;
  path.reserve(text.size());
  while (!text.empty()) {
    if (text.front() != '%') {
      path += text.front();
      text.remove_prefix(1);
      continue;
    }
    unsigned char byte = 0;
    if (text.size() < 3 || !read_number(text.substr(1, 2), byte, 16)) return std::nullopt;
    path += static_cast<char>(byte);
    text.remove_prefix(3);
  }
  return path;
}

/// Relative, without detours, neither in our own directory nor one of the login files.
bool is_allowed(std::string_view path) {
  if (path.empty() || path.size() >= PATH_MAX || path.find('\0') != std::string_view::npos) return false;
  if (path == kCredentials || path == kClaudeJson) return false;
  const std::size_t slash = path.find('/');
  if (path.substr(0, slash) == kPrivateDir) return false;
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, end);
    if (component.empty() || component == "." || component == ".." || component.size() > NAME_MAX)
      return false;
    if (end == path.size()) return true;
    path.remove_prefix(end + 1);
  }
}

bool is_staged_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxStagedName && name.front() != '-' &&
         name.find_first_not_of("0123456789abcdef-") == std::string_view::npos;
}

bool read_stamp(std::string_view& line, Stamp& stamp) {
  if (!read_number(take_until(line, ' '), stamp.inode)) return false;
  if (!read_number(take_until(line, ' '), stamp.size)) return false;
  std::string_view time = take_until(line, ' ');
  return read_number(take_until(time, '.'), stamp.seconds) && read_number(time, stamp.nanoseconds);
}

/// One line into `journal`; false if it is not one of ours.
bool read_entry(std::string_view line, Journal& journal) {
  const std::string_view verb = take_until(line, ' ');
  std::string_view staged;
  Stamp stamp;
  if (verb == "move") {
    staged = take_until(line, ' ');
    if (!is_staged_name(staged)) return false;
  } else if (verb == "delete") {
    if (!read_stamp(line, stamp)) return false;
  } else if (verb != "rmdir") {
    return false;
  }
  auto path = decoded(line);
  if (!path || !is_allowed(*path)) return false;
  if (verb == "move") journal.moves.push_back({std::string(staged), std::move(*path)});
  if (verb == "delete") journal.deletions.push_back({std::move(*path), stamp});
  if (verb == "rmdir") journal.directories.push_back(std::move(*path));
  return true;
}

/// A path twice, or one staged file in two places: not written by us.
bool has_duplicates(const Journal& journal) {
  std::vector<std::string_view> paths;
  std::vector<std::string_view> staged;
  for (const auto& move : journal.moves) {
    paths.push_back(move.path);
    staged.push_back(move.staged);
  }
  for (const auto& deletion : journal.deletions) paths.push_back(deletion.path);
  for (const auto& directory : journal.directories) paths.push_back(directory);
  for (auto* names : {&paths, &staged}) {
    std::sort(names->begin(), names->end());
    if (std::adjacent_find(names->begin(), names->end()) != names->end()) return true;
  }
  return false;
}

}  // namespace

Stamp stamp_of(const struct stat& st) {
  return {st.st_ino, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

std::string encode(const Journal& journal) {
  std::string text(kHeader);
  text += '\n';
  for (const auto& move : journal.moves) {
    text.append("move ").append(move.staged) += ' ';
    append_path(text, move.path);
    text += '\n';
  }
  for (const auto& [path, copy] : journal.deletions) {
    fmt::format_to(std::back_inserter(text), "delete {} {} {}.{:09} ", copy.inode, copy.size, copy.seconds,
                   copy.nanoseconds);
    append_path(text, path);
    text += '\n';
  }
  for (const std::string& directory : journal.directories) {
    text += "rmdir ";
    append_path(text, directory);
    text += '\n';
  }
  const std::size_t entries = journal.moves.size() + journal.deletions.size() + journal.directories.size();
  return text + fmt::format("end {} {:08x}\n", entries, checksum(text));
}

// 1. The last line first: what has no end, or another checksum than it says, is not looked at.
// 2. The version.
// 3. Entry by entry.
// 4. As many as were written, and none of them twice.
Result<Journal> parse_journal(std::string_view text) {
  // 1.
  if (!text.ends_with('\n')) return damaged("has no end");
  const std::size_t newline = text.substr(0, text.size() - 1).rfind('\n');
  if (newline == std::string_view::npos) return damaged("has no end");
  std::string_view body = text.substr(0, newline + 1);
  std::string_view end = text.substr(newline + 1, text.size() - newline - 2);
  std::size_t entries = 0;
  std::uint32_t crc = 0;
  if (take_until(end, ' ') != "end" || !read_number(take_until(end, ' '), entries) ||
      !read_number(end, crc, 16)) {
    return damaged("has no end");
  }
  if (crc != checksum(body)) return damaged("is damaged: its checksum is wrong");
  // 2.
  if (take_until(body, '\n') != kHeader) return damaged("is of another version");
  // 3.
  Journal journal;
  std::size_t found = 0;
  for (; !body.empty(); ++found) {
    if (!read_entry(take_until(body, '\n'), journal)) return damaged("names what no journal of ours does");
  }
  // 4.
  if (found != entries || has_duplicates(journal)) return damaged("contradicts itself");
  return journal;
}

}  // namespace claude_init::store
