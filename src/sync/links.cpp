#include "sync/links.h"

#include <unistd.h>

#include <algorithm>

namespace claude_init::sync {

bool is_atomic_writer_entry(std::string_view name) {
  return name.starts_with("..") && name != "..";
}

bool leads_through_atomic_writer(std::string_view target) {
  while (!target.empty()) {
    const std::string_view component = target.substr(0, target.find('/'));
    if (is_atomic_writer_entry(component)) return true;
    target.remove_prefix(std::min(component.size() + 1, target.size()));
  }
  return false;
}

std::string kept_target(std::string_view target, std::size_t depth, std::string_view root) {
  std::string kept;
  if (target.starts_with('/')) {
    if (root.empty() || !target.starts_with(root) || target.size() <= root.size() ||
        target[root.size()] != '/') {
      return {};
    }
    target.remove_prefix(root.size() + 1);
    for (std::size_t i = 0; i < depth; ++i) kept += "../";
    depth = 0;  // no further up
  }
  std::size_t up = 0;
  bool going_up = true;
  for (std::string_view rest = target; !rest.empty();) {
    const std::string_view component = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(component.size() + 1, rest.size()));
    if (component.empty() || component == ".") continue;
    if (component == ".." && (!going_up || ++up > depth)) return {};
    if (component != "..") going_up = false;
  }
  return kept.append(target);
}

}  // namespace claude_init::sync
