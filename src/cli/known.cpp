#include "cli/known.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace claude_init::cli {
namespace {

constexpr Version kNone{0, 0, 0};

/// Commands that do not renew on some versions, from `first` on (kNone: the oldest). The bounds are versions
/// that were measured; what lies between a bad one and the next good one counts as bad. `good` is the first
/// that was seen to renew after them, or kNone. tests/versions/test_known.py measures each row again.
struct Row {
  std::string_view words;
  Flaw::Kind kind;
  Version first;
  Version good;
};
constexpr std::array kRows{
    Row{"auth status", Flaw::Kind::asks_nobody, {2, 1, 100}, {2, 1, 198}},
    Row{"auth status", Flaw::Kind::burns, {2, 1, 198}, {2, 1, 330}},
    Row{"mcp list", Flaw::Kind::asks_nobody, kNone, {2, 1, 197}},
    Row{"--print /cost", Flaw::Kind::burns, kNone, {2, 1, 197}},
    Row{"doctor", Flaw::Kind::burns, {2, 1, 198}, {2, 1, 260}},
    Row{"--init-only", Flaw::Kind::asks_nobody, kNone, {2, 1, 197}},
    Row{"--init-only", Flaw::Kind::burns, {2, 1, 197}, kNone},
    Row{"agents --json", Flaw::Kind::asks_nobody, kNone, {2, 1, 198}},
    Row{"agents --json", Flaw::Kind::burns, {2, 1, 198}, kNone},
};

// The first that was seen to blank a rejected login; older ones leave it as it is.
constexpr Version kTellsRejection{2, 1, 197};

/// What a version lacks that is older than `since`. tests/versions/test_renewal.py and test_slow.py measure
/// it.
struct Lack {
  Version since;
  std::string_view words;
};
constexpr std::array kLacks{
    Lack{kTellsRejection, "does not tell a rejected login from no answer"},
    Lack{{2, 1, 197}, "loses the login when the server takes longer than 15 s, not 30 s"},
};

std::vector<Version> tested_versions() {
  std::vector<Version> versions;
  std::string_view text = CLAUDE_INIT_CLI_VERSIONS;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    if (const auto version = parse_version(text.substr(0, end))) versions.push_back(*version);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return versions;
}

/// NAME=VALUE, as a shell tells it from a command.
bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos) return false;
  const auto is_name = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const std::string_view name = word.substr(0, equals);
  return (name.front() < '0' || name.front() > '9') && std::all_of(name.begin(), name.end(), is_name);
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

std::optional<Version> parse_version(std::string_view text) {
  Version version;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  for (unsigned* const part : {&version.major, &version.minor, &version.patch}) {
    if (part != &version.major) {
      if (at == end || *at != '.') return std::nullopt;
      ++at;
    }
    const auto [next, failure] = std::from_chars(at, end, *part);
    if (failure != std::errc{}) return std::nullopt;
    at = next;
  }
  return version;
}

std::string text_of(const Version& version) {
  return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

bool is_tested(const Version& version) {
  const auto versions = tested_versions();
  return std::find(versions.begin(), versions.end(), version) != versions.end();
}

std::string described(const Version& version) {
  if (is_tested(version)) return text_of(version) + " (tested)";
  const auto versions = tested_versions();
  const bool newer =
      std::all_of(versions.begin(), versions.end(), [&](const Version& v) { return v < version; });
  return text_of(version) + (newer ? " (newer than those tested)" : " (not tested)");
}

std::vector<std::string> renewing_command() {
  return {"ANTHROPIC_BASE_URL=https://255.255.255.255",
          "CLAUDE_CODE_MAX_RETRIES=0",
          "claude",
          "--print",
          "--model",
          "haiku",
          "ok"};
}

Words split(const std::vector<std::string>& words) {
  const auto program = std::find_if_not(words.begin(), words.end(), is_assignment);
  Words parts{{words.begin(), program}, {program, words.end()}};
  if (parts.argv.empty() || base_name(parts.argv.front()) != "env") return parts;
  const auto real = std::find_if_not(program + 1, words.end(), is_assignment);
  if (real == words.end() || real->starts_with('-')) return parts;
  parts.variables.insert(parts.variables.end(), program + 1, real);
  parts.argv.assign(real, words.end());
  return parts;
}

bool is_claude(const std::vector<std::string>& words) {
  const Words parts = split(words);
  return !parts.argv.empty() && base_name(parts.argv.front()) == "claude";
}

std::optional<Flaw> flaw_of(const std::vector<std::string>& words, const Version& version) {
  if (!is_claude(words)) return std::nullopt;
  const Words parts = split(words);
  const std::string arguments = fmt::format("{} ", fmt::join(parts.argv.begin() + 1, parts.argv.end(), " "));
  for (const Row& row : kRows) {
    const bool is_this = arguments.starts_with(std::string(row.words) + ' ');
    const bool is_flawed = version >= row.first && (row.good == kNone || version < row.good);
    if (!is_this || !is_flawed) continue;
    // The first version without any flaw, not only without this one.
    std::optional<Version> good;
    for (const Row& other : kRows) {
      if (other.words != row.words) continue;
      if (other.good == kNone) return Flaw{row.kind, std::string(row.words), std::nullopt};
      good = std::max(good.value_or(other.good), other.good);
    }
    return Flaw{row.kind, std::string(row.words), good};
  }
  return std::nullopt;
}

bool tells_rejection(const Version& version) {
  return version >= kTellsRejection;
}

std::string what_older_lacks(const Version& one, const Version& other) {
  const auto& [older, newer] = std::minmax(one, other);
  std::string lacks;
  for (const Lack& lack : kLacks) {
    if (older >= lack.since || newer < lack.since) continue;
    lacks += lacks.empty() ? text_of(older) + " " : " and ";
    lacks += lack.words;
  }
  return lacks;
}

}  // namespace claude_init::cli
