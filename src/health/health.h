#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "fs/identity.h"
#include "login/login.h"
#include "store/inspect.h"
#include "store/store.h"

/// A store's state → words and JSON (metrics: prometheus.h). Pure.
namespace claude_init::health {

/// What came of running the CLI once with the login (--live).
struct Live {
  UnixMs at = 0;
  bool works = false;     // the server has answered
  bool rejected = false;  // it has, and does not accept the login
  std::string said;       // where it does not work: the CLI's last words, or why it has none; no secret in it
  bool executed = true;   // false: the command could not be, so no request was made
};

struct Context {
  UnixMs now = 0;
  bool in_container = false;
  fs::Identity reader;         // who looked: for what a permission error means
  std::string exposed_to;      // the workload's user, where it could read a refresh token; else ""
  bool can_be_hidden = false;  // from that user, by root's owning the store: we are root, and it is not
  std::vector<std::string> shadowing;  // variables and settings that make the CLI ignore the stored login
  std::string base_url;                // ANTHROPIC_BASE_URL; "" if unset
  bool in_image = false;          // a container's store that is no mount, but its own layer or its image's
  bool file_mounted = false;      // .credentials.json is a mount of its own
  std::optional<Error> copied{};  // the store is a copy of another one: its login is not renewed
  std::optional<Live> live{};     // where that was asked for
  std::string renewer{};          // the version of Claude Code that renewed here last: "2.1.332 (tested)"
  std::string
      setup_command;  // what to type to log in, e.g. "docker run -it --rm -v …:/claude-auth claude-setup"
  bool told_setup_command = false;  // CLAUDE_INIT_LOGIN_COMMAND is set: it is right for any store
};

/// Where an empty `.credentials.json` comes from: the same words wherever one is met.
inline constexpr std::string_view kWhyEmpty =
    "a login was begun and not finished, or writing it was cut off (a full disk, a power cut)";

/// What a person reads: `headline` names the state in its first word, `meaning` says what it means, each of
/// `remedies` is one thing to type or do, in order. `notes` warn (shadowing variables, …).
struct Explanation {
  std::string headline;
  std::string meaning;
  std::vector<std::string> remedies;
  std::vector<std::string> notes;
};
[[nodiscard]] Explanation explain(const store::Inspection& inspection, const Context& context);

/// The explanation as it is shown to a person: the headline, then the rest indented; ends with a newline.
[[nodiscard]] std::string as_text(const Explanation& explanation);
[[nodiscard]] std::string as_text(const store::Inspection& inspection, const Context& context);

/// How the store keeps its refresh token: "sealed", "in plain", "" where there is none, or none is seen.
[[nodiscard]] std::string_view how_kept(const store::Inspection& inspection);

/// One object on one line, with a newline. Times are ISO 8601 and seconds from now; absent where unknown.
[[nodiscard]] std::string as_json(const store::Inspection& inspection, const Context& context);

/// Whether a workload beside this store works now. A renewable login does not: a workload gets no refresh
/// token.
[[nodiscard]] bool is_healthy(login::State state);
/// The same, and that it has been seen to, where it was tried.
[[nodiscard]] bool is_healthy(const store::Inspection& inspection, const Context& context);

/// Whether a workload can be started with it now: usable, or renewable where the refresh token is handed on.
[[nodiscard]] bool can_be_used(login::State state, bool refresh_token_handed_on);

}  // namespace claude_init::health
