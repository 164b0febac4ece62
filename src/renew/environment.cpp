#include "renew/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace claude_init::renew {
namespace {

/// What the command gets of our environment: the way to it, and the way to the server.
constexpr std::array<std::string_view, 22> kPassedOn{"PATH",
                                                     "LANG",
                                                     "LC_ALL",
                                                     "TZ",
                                                     "HTTP_PROXY",
                                                     "HTTPS_PROXY",
                                                     "ALL_PROXY",
                                                     "http_proxy",
                                                     "https_proxy",
                                                     "all_proxy",
                                                     "NODE_EXTRA_CA_CERTS",
                                                     "NODE_OPTIONS",
                                                     "NODE_TLS_REJECT_UNAUTHORIZED",
                                                     "NODE_USE_SYSTEM_CA",
                                                     "SSL_CERT_FILE",
                                                     "SSL_CERT_DIR",
                                                     "CLAUDE_CODE_CERT_STORE",
                                                     "CLAUDE_CODE_CLIENT_CERT",
                                                     "CLAUDE_CODE_CLIENT_KEY",
                                                     "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
                                                     "CLAUDE_CODE_PROXY_RESOLVES_HOSTS",
                                                     "RES_OPTIONS"};

/// Nothing but the renewal: no telemetry, no update, no servers that are set up for the account.
constexpr std::array<std::string_view, 5> kQuiet{"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
                                                 "DISABLE_AUTOUPDATER=1", "DISABLE_ERROR_REPORTING=1",
                                                 "DISABLE_TELEMETRY=1", "ENABLE_CLAUDEAI_MCP_SERVERS=false"};

// Of cli::renewing_command(): a proxy is not to be asked for what leads nowhere.
constexpr std::string_view kNowhere = "255.255.255.255";

/// NO_PROXY and no_proxy with that address too; programs differ in which of them they look at.
void add_no_proxy(const std::vector<std::string>& environment, std::vector<std::string>& out) {
  bool found = false;
  for (const std::string& variable : environment) {
    if (!variable.starts_with("NO_PROXY=") && !variable.starts_with("no_proxy=")) continue;
    found = true;
    const std::string_view value = std::string_view(variable).substr(variable.find('=') + 1);
    out.push_back(value == "*" ? variable
                               : fmt::format("{}{}{}", variable, value.empty() ? "" : ",", kNowhere));
  }
  if (found) return;
  out.push_back(fmt::format("NO_PROXY={}", kNowhere));
  out.push_back(fmt::format("no_proxy={}", kNowhere));
}

std::string_view name_of(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

}  // namespace

std::vector<std::string> environment_for_renewal(const std::vector<std::string>& ours,
                                                 const std::vector<std::string>& own) {
  std::vector<std::string> out;
  for (const std::string& variable : ours) {
    if (std::find(kPassedOn.begin(), kPassedOn.end(), name_of(variable)) != kPassedOn.end())
      out.push_back(variable);
  }
  add_no_proxy(ours, out);
  out.insert(out.end(), kQuiet.begin(), kQuiet.end());
  for (const std::string& variable : own) {
    std::erase_if(out, [&](const std::string& other) { return name_of(other) == name_of(variable); });
    out.push_back(variable);
  }
  return out;
}

}  // namespace claude_init::renew
