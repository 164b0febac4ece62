#include "options/environment.h"

#include <algorithm>

namespace claude_init::options {
namespace {

bool names(std::string_view variable, std::string_view name) {
  return variable.size() > name.size() && variable.starts_with(name) && variable[name.size()] == '=';
}

}  // namespace

Environment::Environment(const char* const* variables) {
  for (; *variables != nullptr; ++variables) variables_.emplace_back(*variables);
}

std::string_view Environment::get(std::string_view name) const {
  for (const std::string& variable : variables_) {
    if (names(variable, name)) return std::string_view(variable).substr(name.size() + 1);
  }
  return {};
}

bool Environment::has(std::string_view name) const {
  return std::any_of(variables_.begin(), variables_.end(), [&](const auto& v) { return names(v, name); });
}

void Environment::set(std::string_view name, std::string_view value) {
  unset(name);
  variables_.push_back(std::string(name) + '=' + std::string(value));
}

void Environment::unset(std::string_view name) {
  std::erase_if(variables_, [&](const std::string& variable) { return names(variable, name); });
}

}  // namespace claude_init::options
