#include "health/notes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "store/inspect.h"

namespace claude_init::health {
namespace {

using login::State;

constexpr std::int64_t kEndsSoon = 3 * kDay;
constexpr std::int64_t kClockSlack = 10 * kMinute;  // file servers have clocks of their own
constexpr std::int64_t kNoTokenLives = 400 * kDay;  // the longest are made for a year

bool lives(const store::Inspection& inspection) {
  return inspection.state == State::usable || inspection.state == State::renewable;
}

/// The host of a URL that is http and leaves this machine; "" for any other. Neither its user nor its path,
/// which may hold a secret.
std::string plain_http_host(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  std::string start(url.substr(0, kScheme.size()));
  std::transform(start.begin(), start.end(), start.begin(),
                 [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  if (start != kScheme) return "";
  std::string_view host = url.substr(kScheme.size());
  host = host.substr(0, host.find_first_of("/?#"));
  host.remove_prefix(std::min(host.rfind('@') + 1, host.size()));  // npos + 1 is 0
  const bool bracketed = host.starts_with('[');
  const std::string_view name = bracketed ? host.substr(0, std::min(host.find(']'), host.size() - 1) + 1)
                                          : host.substr(0, host.find(':'));
  const bool is_address = name.find_first_not_of("0123456789.") == std::string_view::npos;
  const bool here = name == "localhost" || name == "[::1]" || (is_address && name.starts_with("127."));
  return here ? "" : std::string(host);
}

/// Every deadline is judged by the clock, by the CLI too.
void on_clock(const store::Inspection& inspection, const Context& context, std::vector<std::string>& notes) {
  const std::string set =
      "set it (on the host: timedatectl set-ntp true), since the CLI and we judge a login by it";
  if (inspection.file_modified > context.now + kClockSlack) {
    notes.push_back(fmt::format("the clock is wrong: it says {}, and the login was written {}; {}",
                                format_utc(context.now), format_utc(inspection.file_modified), set));
  } else if (inspection.login && inspection.login->expires_at > context.now + kNoTokenLives) {
    notes.push_back(
        fmt::format("the clock is wrong, or the login was made up: it says {}, and the access token expires "
                    "{}; {}",
                    format_utc(context.now), format_utc(inspection.login->expires_at), set));
  }
}

void on_end(const store::Inspection& inspection, const Context& context, std::vector<std::string>& notes) {
  if (!lives(inspection)) return;
  const std::string again = log_in_again(inspection, context);
  if (inspection.login->refresh_expires_at) {
    const std::int64_t left = *inspection.login->refresh_expires_at - context.now;
    if (left < kEndsSoon) {
      notes.push_back(left > 0 ? fmt::format("the login expires in {}: {}", format_duration(left), again)
                               : "the login has expired and works until its access token expires: " + again);
    }
  }
  if (inspection.renewal_rejected) {
    const std::string why = inspection.renewal_burnt ? "a renewal cost this login"
                                                     : "the server does not renew this login any more";
    notes.push_back(why + "; it works until its access token expires: " + again);
  }
}

/// Of a login that could not be renewed anyway it is not what matters.
void on_copy(const store::Inspection& inspection, const Context& context, std::vector<std::string>& notes) {
  const bool renewed = lives(inspection) && inspection.login && inspection.login->has_refresh_token;
  if (renewed && context.copied)
    notes.push_back(
        fmt::format("this login is not renewed: {}; {}", context.copied->message(), context.copied->remedy));
}

/// Whether what is there outlives this container, and can be replaced in it.
void on_place(const store::Inspection& inspection, const Context& context, std::vector<std::string>& notes) {
  const std::string path = printable(inspection.path);
  // Of one without a login file that is what is wrong, and said as that.
  if (context.in_image && (inspection.state != State::missing || inspection.login)) {
    notes.push_back(fmt::format(
        "nothing is mounted at {0}: the store is part of the image or of this container's own layer, "
        "where a login is in every copy of the image and is not renewed; mount the directory that you "
        "logged in to: -v HOST_DIR:{0}",
        path));
  }
  if (context.file_mounted) {
    notes.push_back(fmt::format(
        "{0}/.credentials.json is mounted by itself: it stays what it was when the login is renewed, "
        "and a login that is renewed in it can be lost; mount the whole directory: -v HOST_DIR:{0}",
        path));
  }
}

void on_readers(const store::Inspection& inspection, const Context& context,
                std::vector<std::string>& notes) {
  if (!lives(inspection)) return;
  // On a read-only mount (a Kubernetes Secret is 0644 by default) it is not for us to say.
  if (!inspection.read_only && inspection.open_to_all) {
    notes.push_back(fmt::format("everyone on this machine can read the login (mode {:04o}): chmod 600 {}",
                                inspection.file_mode & 07777,
                                printable(inspection.path) + "/.credentials.json"));
  }
  if (!context.exposed_to.empty()) {
    notes.push_back(fmt::format(
        "{}, the command's user, can read the refresh token in {}, and with it log everyone out: for a "
        "command "
        "that you do not trust, seal the store (--seal-key) or mount one that has only the access token{}",
        printable(context.exposed_to), printable(inspection.path),
        context.can_be_hidden ? ", or let root own the store's files" : ""));
  }
}

/// The names of a list, the first few of them.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kAtMost = 5;
  std::string list;
  for (std::size_t i = 0; i < std::min(names.size(), kAtMost); ++i)
    list += (i == 0 ? "" : ", ") + printable(names[i]);
  return names.size() > kAtMost ? list + fmt::format(" and {} more", names.size() - kAtMost) : list;
}

/// Their refresh tokens work once, like Claude's, and nothing renews them for everybody.
void on_other_logins(const store::Inspection& inspection, const Context& context,
                     std::vector<std::string>& notes) {
  std::vector<std::string> renewable;
  std::vector<std::string> expired;
  for (const login::Other& other : inspection.other_logins) {
    if (other.renewable) renewable.push_back(other.name);
    if (other.expires_at && *other.expires_at <= context.now) expired.push_back(other.name);
  }
  if (!renewable.empty()) {
    notes.push_back(
        "MCP servers: jobs get the access tokens of " + listed(renewable) +
        " without the refresh tokens, and claude-init does not renew them: a server whose token has "
        "expired needs authentication again (/mcp in claude-init setup)");
  }
  if (!expired.empty()) {
    notes.push_back(
        "MCP servers: the access tokens of " + listed(expired) +
        " have expired and jobs cannot use them: authenticate again with /mcp in claude-init setup");
  }
}

}  // namespace

bool is_logged_in_to_elsewhere(const store::Inspection& inspection, const Context& context) {
  return inspection.published && !context.told_setup_command;
}

std::string log_in_again(const store::Inspection& inspection, const Context& context) {
  return is_logged_in_to_elsewhere(inspection, context)
             ? "this is a published copy: log in where the keeper runs (claude-init setup); it updates "
               "here by itself"
             : "log in again: " + context.setup_command;
}

std::vector<std::string> notes_on_environment(const Context& context) {
  std::vector<std::string> notes;
  for (const std::string& variable : context.shadowing) {
    notes.push_back(variable +
                    " is set: the CLI uses it and ignores the stored login; unset it to use the stored one");
  }
  const std::string host = plain_http_host(context.base_url);
  if (!host.empty()) {
    notes.push_back(fmt::format(
        "ANTHROPIC_BASE_URL is plain http ({}): everyone on the way can read the access token and "
        "what is said; make it https, or unset it",
        printable(host)));
  }
  return notes;
}

std::vector<std::string> notes_on(const store::Inspection& inspection, const Context& context) {
  std::vector<std::string> notes = notes_on_environment(context);
  on_clock(inspection, context, notes);
  on_end(inspection, context, notes);
  on_copy(inspection, context, notes);
  on_place(inspection, context, notes);
  on_readers(inspection, context, notes);
  on_other_logins(inspection, context, notes);
  return notes;
}

}  // namespace claude_init::health
