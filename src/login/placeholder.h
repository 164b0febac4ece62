#pragma once

#include <string_view>

#include "base/result.h"
#include "base/secret.h"

/// A login without any token, for jobs whose requests go through the gateway (deploy/gateway), which puts the
/// access token into them. Pure.
namespace claude_init::login {

/// Stands where the access token would, and is no secret: the gateway accepts nothing else. deploy/gateway
/// has it too.
inline constexpr std::string_view kPlaceholder =
    "sk-ant-oat01-FAKE-placeholder-for-which-the-gateway-puts-the-token";

[[nodiscard]] bool is_placeholder(const Secret& access_token);

/// A login file with the placeholder, and of the login in `text` what is known to be no secret: both
/// deadlines, scopes, plan and account. Nothing else, no login of another service either. Error: invalid.
[[nodiscard]] Result<Secret> with_placeholder(std::string_view text);

}  // namespace claude_init::login
