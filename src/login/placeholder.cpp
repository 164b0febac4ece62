#include "login/placeholder.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "login/json.h"
#include "login/login.h"

namespace claude_init::login {
namespace {

using nlohmann::json;

constexpr const char* kMember = "claudeAiOauth";
// Not by what it is called that is a secret: what a later version of the CLI adds may be one.
constexpr std::array kShownOfLogin{"expiresAt",
                                   "refreshTokenExpiresAt",
                                   "scopes",
                                   "subscriptionType",
                                   "subscriptionTypeSource",
                                   "subscriptionTypeVerifiedAt",
                                   "rateLimitTier",
                                   "accountUuid",
                                   "organizationUuid"};

bool is_plain(const json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().find("sk-ant-") == std::string::npos;
  if (value.is_array())
    return std::all_of(value.begin(), value.end(),
                       [](const json& each) { return each.is_string() && is_plain(each); });
  return value.is_number() || value.is_boolean();
}

}  // namespace

bool is_placeholder(const Secret& access_token) {
  return access_token.reveal() == kPlaceholder;
}

Result<Secret> with_placeholder(std::string_view text) {
  if (const auto parsed = parse(text); !parsed) return parsed.error();
  const auto oauth = json_member(whole(text), kMember, {});
  if (!oauth) return oauth.error();
  // Of one that the server has rejected there is nothing to stand for.
  const bool has_token = oauth->is_object() && !access_token(text).empty();
  if (!has_token)
    return Secret(oauth->is_null() ? "{}" : R"({"claudeAiOauth":{"accessToken":"","expiresAt":0}})");
  json login{{"accessToken", kPlaceholder}};
  for (const char* name : kShownOfLogin) {
    const auto member = oauth->find(name);
    if (member != oauth->end() && is_plain(*member)) login[name] = *member;
  }
  return Secret(json{{kMember, std::move(login)}}.dump(-1, ' ', true, json::error_handler_t::replace));
}

}  // namespace claude_init::login
