#include "store/layout.h"

#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "fs/open.h"
#include "store/names.h"

namespace claude_init::store {
namespace {

/// The table. How an entry is compared with a path's components:
enum class Where {
  top_suffix,     // the first component ends so
  suffix,         // any component ends so
  hidden_suffix,  // any component begins with "." and ends so
  infix,          // any component contains it
};
struct Exclusion {
  Where where;
  std::string_view text;
};
constexpr std::array<Exclusion, 6> kExclusions{{
    // Locks. A copied one is never released. Deeper down only those that are named after a file of the CLI's:
    // yarn.lock, Cargo.lock and their like in a plugin are content.
    {Where::top_suffix, ".lock"},
    {Where::hidden_suffix, ".lock"},
    {Where::suffix, ".json.lock"},
    {Where::suffix, ".jsonl.lock"},
    {Where::suffix, ".lock.owner"},
    // Half-written files of the CLI and of ours.
    {Where::infix, ".tmp."},
}};

bool matches(const Exclusion& exclusion, std::string_view component, bool top) {
  switch (exclusion.where) {
    case Where::top_suffix:
      return top && component.ends_with(exclusion.text);
    case Where::suffix:
      return component.ends_with(exclusion.text);
    case Where::hidden_suffix:
      return component.starts_with('.') && component.ends_with(exclusion.text);
    case Where::infix:
      return component.find(exclusion.text) != std::string_view::npos;
  }
  return false;
}

std::string_view first_component(std::string_view path) {
  return path.substr(0, path.find('/'));
}

bool component_excluded(std::string_view component, bool top) {
  return std::any_of(kExclusions.begin(), kExclusions.end(),
                     [&](const Exclusion& exclusion) { return matches(exclusion, component, top); });
}

bool excluded_by_role(std::string_view top_component, bool history) {
  const Role role = role_of(top_component);
  return role == Role::process || (!history && role != Role::behaviour);
}

bool excluded_by_table(std::string_view path, bool history) {
  if (!path.empty() && excluded_by_role(first_component(path), history)) return true;
  bool top = true;
  while (!path.empty()) {
    const std::string_view component = first_component(path);
    if (component_excluded(component, top)) return true;
    top = false;
    path.remove_prefix(std::min(component.size() + 1, path.size()));
  }
  return false;
}

bool matches_pattern(const std::string& pattern, const std::string& path) {
  return ::fnmatch(pattern.c_str(), path.c_str(), FNM_PATHNAME) == 0;
}

/// Whether one of the patterns matches the path or one of its parents.
bool matches_any(const std::vector<std::string>& patterns, std::string_view path) {
  return !patterns.empty() && !path.empty() &&
         (std::any_of(patterns.begin(), patterns.end(),
                      [&, text = std::string(path)](const auto& pattern) {
                        return matches_pattern(pattern, text);
                      }) ||
          matches_any(patterns, fs::parent_of(path)));
}

/// Whether `pattern` could match something beneath `directory`: it is longer, and its beginning matches.
bool leads_into(const std::string& pattern, const std::string& directory) {
  std::size_t end = std::string::npos;
  std::size_t from = 0;
  for (auto depth = std::count(directory.begin(), directory.end(), '/') + 1; depth > 0; --depth) {
    end = pattern.find('/', from);
    if (end == std::string::npos) return false;
    from = end + 1;
  }
  return matches_pattern(pattern.substr(0, end), directory);
}

}  // namespace

StatePaths state_in_home(std::string_view home) {
  return {fs::join(home, ".claude"), fs::join(home, kClaudeJson)};
}

StatePaths state_in_config_dir(std::string_view config_dir) {
  return {std::string(config_dir), fs::join(config_dir, kClaudeJson)};
}

bool Filter::captures(std::string_view relative_path) const {
  if (first_component(relative_path) == kPrivateDir) return false;
  if (matches_any(exclude, relative_path)) return false;
  if (matches_any(include, relative_path)) return true;
  return (only.empty() || matches_any(only, relative_path)) && !excluded_by_table(relative_path, history);
}

bool Filter::enters(std::string_view relative_directory) const {
  if (captures(relative_directory)) return true;
  if (first_component(relative_directory) == kPrivateDir || matches_any(exclude, relative_directory))
    return false;
  const auto leads = [&](const std::string& pattern) {
    return leads_into(pattern, std::string(relative_directory));
  };
  if (std::any_of(include.begin(), include.end(), leads)) return true;
  return std::any_of(only.begin(), only.end(), leads) && !excluded_by_table(relative_directory, history);
}

DirectoryFilter::DirectoryFilter(const Filter& filter, std::string_view directory)
    : filter_(filter), directory_(directory), excluded_(excluded_by_table(directory, filter.history)) {}

bool DirectoryFilter::captures(std::string_view name) const {
  if (!filter_.include.empty() || !filter_.exclude.empty() || !filter_.only.empty() || directory_.empty())
    return filter_.captures(fs::join(directory_, name));
  return !excluded_ && !component_excluded(name, false);
}

bool is_settings_file(std::string_view relative_path) {
  return relative_path != kCredentials && relative_path != kClaudeJson &&
         std::find(kLoginFiles.begin(), kLoginFiles.end(), relative_path) != kLoginFiles.end();
}

bool is_binding_file(std::string_view relative_path) {
  return is_settings_file(relative_path) || relative_path == "CLAUDE.md";
}

bool is_sessions_directory(std::string_view relative_path) {
  return role_of(relative_path) == Role::session;
}

}  // namespace claude_init::store
