#include "store/named.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace claude_init::store {
namespace {

using From = NamedPath::From;

constexpr std::array<std::pair<std::string_view, From>, 6> kBeginnings{{
    {"~/", From::home},
    {"$HOME/", From::home},
    {"${HOME}/", From::home},
    {"$CLAUDE_CONFIG_DIR/", From::config_dir},
    {"${CLAUDE_CONFIG_DIR}/", From::config_dir},
    {"/", From::root},
}};
constexpr std::string_view kState = ".claude/";
constexpr std::string_view kStateBeneath = "/.claude/";

bool ends_a_word(char c) {
  return static_cast<unsigned char>(c) <= ' ' ||
         std::string_view("\"'`();|&<>=,").find(c) != std::string_view::npos;
}

/// The part of a pattern before its first component that is one.
std::string_view without_pattern(std::string_view path) {
  const std::size_t pattern = path.find_first_of("*?[");
  if (pattern == std::string_view::npos) return path;
  const std::size_t slash = path.rfind('/', pattern);
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

void add_word(std::string_view word, Named& named) {
  for (const auto& [beginning, from] : kBeginnings) {
    if (!word.starts_with(beginning)) continue;
    const std::string_view behind = word.substr(beginning.size());
    const bool in_state = from == From::config_dir || (from == From::home && behind.starts_with(kState)) ||
                          (from == From::root && word.find(kStateBeneath) != std::string_view::npos);
    const std::string_view rest = without_pattern(behind);
    if (!in_state || rest.empty()) return;
    const auto is_same = [&](const NamedPath& path) { return path.written == word; };
    if (std::none_of(named.paths.begin(), named.paths.end(), is_same))
      named.paths.push_back({std::string(word), from, std::string(rest)});
    return;
  }
}

/// `"enabledPlugins": {"name@place": true, …}`.
bool enables_plugins(std::string_view settings) {
  std::size_t at = settings.find("\"enabledPlugins\"");
  if (at == std::string_view::npos) return false;
  at = settings.find('{', at);
  if (at == std::string_view::npos) return false;
  return settings.substr(at, settings.find('}', at) - at).find("true") != std::string_view::npos;
}

}  // namespace

// A shell's quotes within a JSON string, \", are in the middle of a word: "$HOME"/.claude/x.
Named named_by(std::string_view settings) {
  constexpr std::size_t kMostPaths = 1000;
  Named named;
  named.plugins = enables_plugins(settings);
  std::string word;
  bool in_rule = false;  // the word stands behind Tool(
  char before = ' ';
  for (std::size_t i = 0; i <= settings.size() && named.paths.size() < kMostPaths; ++i) {
    char c = i < settings.size() ? settings[i] : ' ';
    if (c == '\\' && i + 1 < settings.size()) {
      c = settings[++i];
      if (c == '"') continue;
      if (c != '/') c = ' ';
    }
    if (!ends_a_word(c)) {
      word += c;
      before = c;
      continue;
    }
    if (!in_rule) add_word(word, named);
    word.clear();
    in_rule = c == '(' && std::isalnum(static_cast<unsigned char>(before)) != 0;
    before = c;
  }
  return named;
}

}  // namespace claude_init::store
