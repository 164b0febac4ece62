#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "login/json.h"

/// The content of `.credentials.json`: parsed, judged, compared. Pure: no I/O, no clock of its own.
/// The format was measured on the CLI: {"claudeAiOauth":{"accessToken","refreshToken","expiresAt"(ms),
/// "scopes":[],"subscriptionType",…}}, with siblings of claudeAiOauth and unknown keys that must be kept.
namespace claude_init::login {

/// One list for every output (text, JSON, metrics, exit status).
enum class State {
  usable,      // the access token is valid now
  renewable,   // the access token has expired, the refresh token is there
  expired,     // neither can be used
  dead,        // the CLI blanked it: the server rejected the refresh token
  missing,     // there is no .credentials.json, or no login in it (`{}`, or other services' logins only)
  empty,       // it has no bytes
  malformed,   // not JSON, cut off, or not of the expected shape
  unreadable,  // it is there and we may not read it
  no_store,    // there is no store to look into
};
inline constexpr std::array kStates{State::usable,    State::renewable,  State::expired,
                                    State::dead,      State::missing,    State::empty,
                                    State::malformed, State::unreadable, State::no_store};

/// "usable", "no-store", …
[[nodiscard]] std::string_view name_of(State state);

/// Everything about a login that may be shown: no token.
struct Login {
  bool has_access_token = false;
  bool has_refresh_token = false;
  bool blanked = false;   // both tokens "", as the CLI leaves it after a rejection
  UnixMs expires_at = 0;  // access token
  // The login itself (`refreshTokenExpiresAt`), where the CLI wrote it; see forget_incredible().
  std::optional<UnixMs> refresh_expires_at;
  std::vector<std::string> scopes;
  std::string subscription;  // "max", "pro", … or ""
  std::string account_uuid;  // "" where the CLI has not written it yet
  std::string organization_uuid;
};

/// Parses the file's content. Errors: kind invalid; `what` never quotes the content. An empty text is
/// invalid too: callers that must tell empty from malformed look at the size (see judge_file). An object
/// without `claudeAiOauth` is a Login with nothing in it.
[[nodiscard]] Result<Login> parse(std::string_view text);

/// State of a parsed login at `now`. A login without scopes counts as expired: the CLI says "not logged in".
/// A deadline counts as passed in its own millisecond.
[[nodiscard]] State judge(const Login& login, UnixMs now);

/// A login's own end that lies further away than any login lives is as good as unknown.
void forget_incredible(Login& login, UnixMs now);

/// Whether the login's own end has passed, where that is recorded: its normal end, with which nothing is
/// wrong.
[[nodiscard]] bool has_ended(const Login& login, UnixMs now);

/// The parsed login, if any, with its state: `text` is the whole file.
struct Judged {
  State state = State::missing;
  std::optional<Login> login;
  std::string problem;  // for malformed: what is wrong with it, without quoting it
  Secret access_token;  // empty where it has none
};
[[nodiscard]] Judged judge_file(std::string_view text, UnixMs now);

/// The longest that tokens were seen to live, with room to spare: an access token 8 h, a login 30 days. A
/// deadline is a number that anybody can write into a file; what lies further away than this is not believed.
inline constexpr std::int64_t kLongestAccessToken = kDay;
inline constexpr std::int64_t kLongestLogin = 45 * kDay;

/// Whether an access token that is said to end then can have been issued by now.
[[nodiscard]] bool is_credible(UnixMs expires_at, UnixMs now);

/// What to do with a login found in a source when the store has another (or none).
enum class Choice {
  take,        // the source's is valid and better, or the store has none
  same,        // identical bytes, or the same access token and nothing beside it that the store lacks
  keep_store,  // the store's is better; `reason` says why
  nothing,     // neither side has a login that can be used
};
struct Verdict {
  Choice choice = Choice::nothing;
  State source_state = State::missing;
  State store_state = State::missing;
  bool account_changed = false;  // taken, but of another account than the store's
  bool proven = false;           // taken, and made by a renewal of ours or by a person
  std::string reason{};          // one clause for a person: "the captured one has no refresh token"
};
struct Rules {
  bool allow_account_change = false;  // a person in setup may change it on purpose
  // The access token that the source was given at its start: a login that still has it was not made there,
  // and never replaces one that works. Not owned; "" = unknown.
  std::string_view given_access_token{};
  // The source is what a renewal made of the given one: it replaces that, however short it lives, since the
  // given one is spent. A login that somebody has put in its place meanwhile stays.
  bool renewed = false;
  // The source is where people log in, and a login that it was not given was made by a person just now: it is
  // the newer one, whatever the deadlines say.
  bool by_person = false;
  // The source is a store that is published: what it has was judged when it came there.
  bool judged_before = false;
  // The store's login was renewed by us or made by a person (store/generations.h): its deadline is believed.
  bool store_proven = false;
};
/// An empty, unparsable, blanked, older login, one without refresh token where the store has one, or one of
/// another account never replaces one that is better. A deadline that is not credible makes no login newer.
/// `source` and `store`: whole files; nullopt = missing.
[[nodiscard]] Verdict compare(std::optional<std::string_view> source, std::optional<std::string_view> store,
                              UnixMs now, const Rules& rules);

/// The same file without its refresh token, and without what gets new tokens in any login beside it
/// (secrets.h). Everything else is kept, access tokens, unknown keys and their order too, and also
/// `refreshTokenExpiresAt`, so that a reader without the token still knows when the login ends. A copy
/// without refresh token never calls the token endpoint (measured). Error: invalid.
[[nodiscard]] Result<Secret> without_refresh_token(std::string_view text);

/// The same file with `expiresAt` 0, everything else kept: a CLI that looks at it renews it at once
/// (measured). Error: invalid.
[[nodiscard]] Result<Secret> with_deadline_passed(std::string_view text);

/// The access token of a login file; empty where it has none.
[[nodiscard]] Secret access_token(std::string_view text);

/// The same of its refresh token.
[[nodiscard]] Secret refresh_token(std::string_view text);

/// `oauthAccount.emailAddress` of a `.claude.json`, "" if it has none or cannot be parsed. What follows it is
/// not read.
[[nodiscard]] std::string account_email(const Pieces& claude_json);

/// Whether this text is a JSON object (for `.claude.json`: one that does not parse never replaces one that
/// does).
[[nodiscard]] bool is_json_object(const Pieces& text);

}  // namespace claude_init::login
