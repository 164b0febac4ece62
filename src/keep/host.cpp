#include "keep/host.h"

#include <arpa/inet.h>

#include <algorithm>

namespace claude_init::keep {
namespace {

/// Lower case, without the dot that may end a full name.
std::string plain(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  std::string out(name);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool is_address(int family, const std::string& text) {
  in6_addr address{};  // the larger of the two
  return ::inet_pton(family, text.c_str(), &address) == 1;
}

bool is_port(std::string_view text) {
  return text.size() <= 5 && text.find_first_not_of("0123456789") == std::string_view::npos;
}

}  // namespace

bool is_allowed_host(std::string_view host, const std::vector<std::string>& allowed) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view port = host.substr(end + 1);
    return (port.empty() || (port.front() == ':' && is_port(port.substr(1)))) &&
           is_address(AF_INET6, std::string(host.substr(1, end - 1)));
  }
  const std::size_t colon = host.find(':');
  if (colon != std::string_view::npos && !is_port(host.substr(colon + 1))) return false;
  const std::string name = plain(host.substr(0, colon));
  if (name.empty()) return false;
  if (name == "localhost" || name.ends_with(".localhost") || is_address(AF_INET, name)) return true;
  return std::any_of(allowed.begin(), allowed.end(),
                     [&](const std::string& each) { return plain(each) == name; });
}

}  // namespace claude_init::keep
