#include "login/shadow.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace claude_init::login {
namespace {

constexpr std::array<std::string_view, 5> kCredentials{
    "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR", "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR"};
// Another service than Anthropic's own, or (SIMPLE) none of the stored logins.
constexpr std::array<std::string_view, 7> kSwitches{
    "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",        "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",  "CLAUDE_CODE_USE_ANTHROPIC_AWS", "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD",
    "CLAUDE_CODE_SIMPLE"};
constexpr std::string_view kHeaders = "ANTHROPIC_CUSTOM_HEADERS";

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

/// The CLI's own idea of a switch that is on: `0` is off.
bool is_on(std::string_view value) {
  constexpr std::array<std::string_view, 4> kOn{"1", "true", "yes", "on"};
  return std::find(kOn.begin(), kOn.end(), lower(value)) != kOn.end();
}

}  // namespace

std::vector<std::string> shadowing_variables(const std::function<std::string_view(std::string_view)>& get) {
  std::vector<std::string> set;
  for (const std::string_view name : kSwitches) {
    if (is_on(get(name))) set.emplace_back(name);
  }
  for (const std::string_view name : kCredentials) {
    if (!get(name).empty()) set.emplace_back(name);
  }
  // It goes with each request, in the place of the login's own.
  if (lower(get(kHeaders)).find("authorization:") != std::string::npos) set.emplace_back(kHeaders);
  return set;
}

std::vector<std::string> shadowing_settings(std::string_view text, Settings whose) {
  using nlohmann::json;
  std::vector<std::string> found;
  const json settings = json::parse(text, nullptr, false);
  if (!settings.is_object()) return found;
  const auto helper = settings.find("apiKeyHelper");
  if (helper != settings.end() && helper->is_string() && !helper->get_ref<const std::string&>().empty())
    found.emplace_back("apiKeyHelper");
  const auto env = settings.find("env");
  if (env == settings.end() || !env->is_object()) return found;
  const auto get = [&](std::string_view name) -> std::string_view {
    const auto value = env->find(std::string(name));
    return value != env->end() && value->is_string() ? std::string_view(value->get_ref<const std::string&>())
                                                     : std::string_view();
  };
  for (const std::string& name : shadowing_variables(get)) {
    if (whose == Settings::project && name == "CLAUDE_CODE_OAUTH_TOKEN") continue;  // ignored there
    found.push_back("env." + name);
  }
  return found;
}

bool says_shadowed(std::string_view words) {
  return words.find("takes precedence over your claude.ai login") != std::string_view::npos;
}

}  // namespace claude_init::login
