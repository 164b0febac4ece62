#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace claude_init::keep {

/// Whether a request with this Host field ("name", "name:port", "[address]:port") is answered: an address, a
/// name of the loopback (localhost, *.localhost), or one of `allowed`, in any case. A page of the internet
/// that has its own name lead to us (DNS rebinding) is read by nobody's browser: that sends the page's name,
/// which is none of these.
[[nodiscard]] bool is_allowed_host(std::string_view host, const std::vector<std::string>& allowed);

}  // namespace claude_init::keep
