#include "login/login.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "login/placeholder.h"

namespace claude_init::login {
namespace {

using nlohmann::json;

// A login is about 1 KiB, more with logins of other services beside it. The file can come from a workload
// that is not trusted.
constexpr std::size_t kMaxLoginBytes = 1 << 18;
constexpr JsonLimits kLoginLimits{.tokens = 20'000};
// The latest date that the CLI's own clock knows (ECMAScript, "Time Values and Time Range").
constexpr double kMaxUnixMs = 8.64e15;

constexpr const char* kOauth = "claudeAiOauth";
constexpr const char* kAccessToken = "accessToken";
constexpr const char* kRefreshToken = "refreshToken";
constexpr const char* kExpiresAt = "expiresAt";

Error invalid(std::string what) {
  return make_error(ErrorKind::invalid, std::move(what));
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// What stands under claudeAiOauth; null where there is nothing.
Result<json> read_oauth(std::string_view text) {
  if (text.size() > kMaxLoginBytes) return invalid("it is far larger than any login");
  return json_member(whole(text), kOauth, kLoginLimits);
}

/// A string member; nullopt if it is absent or null. Error: it is something else.
Result<std::optional<std::string>> string_member(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return std::optional<std::string>();
  if (!it->is_string()) return invalid(std::string("its ") + key + " is not a string");
  return std::optional<std::string>(it->get<std::string>());
}

/// A point in time in milliseconds, kept within what dates can express; nullopt if it is absent or null.
Result<std::optional<UnixMs>> time_member(const json& object, const char* key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return std::optional<UnixMs>();
  if (!it->is_number()) return invalid(std::string("its ") + key + " is not a number");
  return std::optional<UnixMs>(static_cast<UnixMs>(std::clamp(it->get<double>(), 0.0, kMaxUnixMs)));
}

/// A login with its tokens, for comparing.
struct Parsed {
  Login login;
  Secret access_token;
  Secret refresh_token;
};

Result<Parsed> parse_oauth(const json& oauth) {
  if (!oauth.is_object()) return invalid("its claudeAiOauth is not an object");
  auto access = string_member(oauth, kAccessToken);
  auto refresh = string_member(oauth, kRefreshToken);
  const auto subscription = string_member(oauth, "subscriptionType");
  const auto account = string_member(oauth, "accountUuid");
  const auto organization = string_member(oauth, "organizationUuid");
  const auto expires_at = time_member(oauth, kExpiresAt);
  const auto refresh_expires_at = time_member(oauth, "refreshTokenExpiresAt");
  for (const auto* text : {&access, &refresh}) {
    if (!*text) return text->error();
  }
  for (const auto* time : {&expires_at, &refresh_expires_at}) {
    if (!*time) return time->error();
  }
  Parsed parsed;
  Login& login = parsed.login;
  login.blanked = *access && (*access)->empty() && (!*refresh || (*refresh)->empty());
  parsed.access_token = Secret(std::move(*access).value_or(""));
  parsed.refresh_token = Secret(std::move(*refresh).value_or(""));
  login.has_access_token = !parsed.access_token.empty();
  login.has_refresh_token = !parsed.refresh_token.empty();
  login.expires_at = expires_at->value_or(0);
  login.refresh_expires_at = *refresh_expires_at;
  // What is only shown may have any shape: a login is not refused for it.
  if (subscription) login.subscription = subscription->value_or("");
  if (account) login.account_uuid = account->value_or("");
  if (organization) login.organization_uuid = organization->value_or("");
  if (const auto scopes = oauth.find("scopes"); scopes != oauth.end() && scopes->is_array()) {
    for (const json& scope : *scopes) {
      if (scope.is_string()) login.scopes.push_back(scope.get<std::string>());
    }
  }
  return parsed;
}

Result<Parsed> parse_with_tokens(std::string_view text) {
  const auto oauth = read_oauth(text);
  if (!oauth) return oauth.error();
  return oauth->is_null() ? Parsed{} : parse_oauth(*oauth);
}

/// The file with its login changed, and nothing else.
Result<Secret> edit_oauth(std::string_view text, const JsonEdit& edit) {
  const auto oauth = read_oauth(text);
  if (!oauth) return oauth.error();
  if (!oauth->is_object() && !oauth->is_null()) return invalid("its claudeAiOauth is not an object");
  auto edited = edit_json_object(text, edit, kLoginLimits);
  if (!edited) return edited.error();
  return Secret(std::move(*edited));
}

bool is_in_oauth(const JsonPath& path, std::string_view name) {
  return path.size() == 2 && path[0] == kOauth && path[1] == name;
}

bool works(State state) {
  return state == State::usable || state == State::renewable;
}

/// One side of a comparison.
struct Side {
  State state = State::missing;
  Parsed parsed;
};

Side side_of(std::optional<std::string_view> text, UnixMs now) {
  Side side;
  if (!text) return side;
  auto parsed = parse_with_tokens(*text);
  if (!parsed) {
    side.state = is_blank(*text) ? State::empty : State::malformed;
    return side;
  }
  side.state = judge(parsed->login, now);
  side.parsed = std::move(*parsed);
  return side;
}

/// Why a login in this state is not worth keeping.
std::string_view why_useless(State state) {
  switch (state) {
    case State::missing:
      return "there is no login any more";
    case State::empty:
      return "the captured one is empty";
    case State::malformed:
      return "the captured one is damaged";
    case State::dead:
      return "the captured one was rejected by the server";
    case State::expired:
      return "the captured one has expired";
    default:
      return "the captured one cannot be used";
  }
}

bool differs(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty() && a != b;
}

}  // namespace

std::string_view name_of(State state) {
  static constexpr std::array<std::string_view, 9> kNames{
      "usable", "renewable", "expired", "dead", "missing", "empty", "malformed", "unreadable", "no-store"};
  return kNames[static_cast<std::size_t>(state)];
}

Result<Login> parse(std::string_view text) {
  auto parsed = parse_with_tokens(text);
  if (!parsed) return parsed.error();
  return std::move(parsed->login);
}

State judge(const Login& login, UnixMs now) {
  if (login.blanked) return State::dead;
  if (!login.has_access_token && !login.has_refresh_token) return State::missing;
  if (login.scopes.empty()) return State::expired;
  if (login.has_access_token && login.expires_at > now) return State::usable;
  return login.has_refresh_token && !has_ended(login, now) ? State::renewable : State::expired;
}

bool has_ended(const Login& login, UnixMs now) {
  return login.refresh_expires_at && *login.refresh_expires_at <= now;
}

void forget_incredible(Login& login, UnixMs now) {
  if (login.refresh_expires_at && *login.refresh_expires_at > now + kLongestLogin)
    login.refresh_expires_at.reset();
}

bool is_credible(UnixMs expires_at, UnixMs now) {
  return expires_at <= now + kLongestAccessToken;
}

Judged judge_file(std::string_view text, UnixMs now) {
  auto parsed = parse_with_tokens(text);
  if (!parsed)
    return {is_blank(text) ? State::empty : State::malformed, std::nullopt, parsed.error().what, {}};
  const State state = judge(parsed->login, now);
  forget_incredible(parsed->login, now);
  return {state, std::move(parsed->login), {}, std::move(parsed->access_token)};
}

/// 1. A source that does not work never replaces a store that does.
/// 2. A store that does not work is replaced by a source that does; one that works is not by what the source
///    was given at its start.
/// 3. Both work, with the same access token: only what was written beside it can have changed, and a copy
///    that had its refresh token withheld, or its deadline set back to force a renewal, is not a change. Of
///    two placeholders that is not known.
/// 4. Both work: not without the refresh token that the store has, not of another account unless that is
///    allowed, and, within one account, not an older one. What was renewed from the store's, and what a
///    person has just made, is never older. A deadline that nobody can have been given is no sign of being
///    newer.
Verdict compare(std::optional<std::string_view> source, std::optional<std::string_view> store, UnixMs now,
                const Rules& rules) {
  const Side from = side_of(source, now);
  const Side to = side_of(store, now);
  const Login& theirs = from.parsed.login;
  const Login& ours = to.parsed.login;

  Verdict verdict;
  verdict.source_state = from.state;
  verdict.store_state = to.state;
  verdict.account_changed = differs(theirs.account_uuid, ours.account_uuid);
  const auto decide = [&](Choice choice, std::string_view reason = {}) {
    verdict.choice = choice;
    verdict.account_changed = verdict.account_changed && choice == Choice::take;
    const bool was_given = from.parsed.access_token.reveal() == rules.given_access_token;
    const bool is_other = !(from.parsed.access_token == to.parsed.access_token);
    verdict.proven = choice == Choice::take && (rules.renewed || rules.by_person) && !was_given && is_other;
    verdict.reason = reason;
    return verdict;
  };
  if (source && source == store) return decide(Choice::same);

  // 1.
  if (!works(from.state)) {
    const bool no_scopes = from.state == State::expired && theirs.scopes.empty();
    return decide(works(to.state) ? Choice::keep_store : Choice::nothing,
                  no_scopes ? "the captured one has no scopes: the CLI does not count it as a login"
                            : why_useless(from.state));
  }
  // 2.
  if (!works(to.state)) return decide(Choice::take);
  if (!rules.given_access_token.empty() && from.parsed.access_token.reveal() == rules.given_access_token &&
      !(from.parsed.access_token == to.parsed.access_token)) {
    return decide(Choice::same);  // another process has renewed or changed the store's meanwhile
  }

  // 3.
  const bool loses_refresh_token = ours.has_refresh_token && !theirs.has_refresh_token;
  const bool same_token = from.parsed.access_token == to.parsed.access_token;
  if (same_token && !(rules.judged_before && is_placeholder(to.parsed.access_token))) {
    const bool set_back = theirs.expires_at < ours.expires_at;
    return decide(loses_refresh_token || set_back ? Choice::same : Choice::take);
  }
  // 4.
  if (loses_refresh_token) return decide(Choice::keep_store, "the captured one has no refresh token");
  if (verdict.account_changed) {
    if (rules.allow_account_change) return decide(Choice::take);
    return decide(Choice::keep_store, "the captured one belongs to another account");
  }
  if (rules.renewed) {
    return to.parsed.access_token.reveal() == rules.given_access_token
               ? decide(Choice::take)
               : decide(Choice::keep_store, "another process has put another one there meanwhile");
  }
  if (rules.by_person || rules.judged_before) return decide(Choice::take);
  if (!is_credible(theirs.expires_at, now)) {
    return decide(Choice::keep_store,
                  "the captured one claims to live longer than access tokens do, so its age is unknown");
  }
  const bool ours_counts = rules.store_proven || is_credible(ours.expires_at, now);
  if (ours_counts && theirs.expires_at < ours.expires_at)
    return decide(Choice::keep_store, "the captured one is older");
  return decide(Choice::take);
}

Result<Secret> with_deadline_passed(std::string_view text) {
  return edit_oauth(text, {[](const JsonPath& path) { return is_in_oauth(path, kExpiresAt); },
                           [](const JsonPath& path) -> std::string_view {
                             return path.size() == 1 && path[0] == kOauth ? R"("expiresAt":0)" : "";
                           }});
}

Secret access_token(std::string_view text) {
  auto parsed = parse_with_tokens(text);
  return parsed ? std::move(parsed->access_token) : Secret();
}

Secret refresh_token(std::string_view text) {
  auto parsed = parse_with_tokens(text);
  return parsed ? std::move(parsed->refresh_token) : Secret();
}

std::string account_email(const Pieces& claude_json) {
  const auto account = json_member(claude_json, "oauthAccount", {}, /*stop_there=*/true);
  if (!account || !account->is_object()) return {};
  const auto email = string_member(*account, "emailAddress");
  return email ? email->value_or("") : "";
}

bool is_json_object(const Pieces& text) {
  return check_json_object(text, {}).ok();
}

}  // namespace claude_init::login
