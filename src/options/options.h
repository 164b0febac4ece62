#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "cli/known.h"
#include "log/log.h"
#include "options/environment.h"
#include "options/kept_stores.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/store.h"
#include "supervise/supervisor.h"
#include "sync/plan.h"
#include "sync/restore.h"

/// The command line and the environment as plain, checked structures: one for each subcommand. Each option
/// has an environment variable CLAUDE_INIT_NAME; the command line wins.
namespace claude_init::options {

/// What is printed, for whom.
enum class Format { text, json, prometheus };
struct Output {
  std::optional<Format> format;  // unset: what --json says
  bool json = false;
  [[nodiscard]] Format chosen() const { return format.value_or(json ? Format::json : Format::text); }
};

struct Logging {
  log::Level level = log::Level::warn;
  log::Format format = log::Format::text;
};

/// How long a login has to be quiet before it is saved.
inline constexpr Milliseconds kCheckpoint{300};

/// A wait without a limit.
inline constexpr Milliseconds kForever = Milliseconds::max();

/// Renewing the store's login ahead of its expiry.
struct Renewal {
  bool never = false;
  Milliseconds before{45 * 60'000};
  Milliseconds check_every{0};  // keep: renew at least that often; 0 = when it is due
  std::vector<std::string> command = cli::renewing_command();  // has a program, after any NAME=VALUE
};

struct Init {
  supervise::Options supervision = supervise::left_to_the_engine();
  std::vector<std::string> command;  // never empty
};

/// The key that the store's login is sealed with; "" = none.
struct Sealing {
  std::string key;      // a file
  std::string old_key;  // a file, where it is to be sealed anew
};

/// How a store is written to.
struct Storing {
  store::StoreOptions options;
  std::string owner;  // NAME or UID[:GID]; "" = the root's
  unsigned keep_generations = store::kKeepGenerations;
};

struct Setup {
  std::string store;  // "" = found as options/store_path.h says
  std::string user;   // "" = node when root and it exists
  bool allow_ephemeral = false;
  std::optional<Milliseconds> until_login;  // end by itself when there is a login, or after so long
  Milliseconds checkpoint = kCheckpoint;
  Renewal renewal;
  Sealing sealing;
  Storing storing;
  sync::Limits limits;
  store::Filter filter;
  supervise::Options supervision;
  std::vector<std::string> command;  // empty = an interactive shell with a greeting
};

enum class Persist {
  none,
  sessions,  // transcripts
  all,       // whatever belongs to sessions: memory too, which tells later runs what to do
};

/// What a run gets of the store's state.
enum class Copy {
  config,  // what shapes the CLI's behaviour (store/names.h), without what it has written down
  all,
  login,  // the login and the settings
};

struct Run {
  std::string store;
  std::string user;
  std::string workdir;  // "" = the first place that will do
  Copy copy = Copy::config;
  store::RefreshToken refresh_token = store::RefreshToken::withhold;
  std::optional<Persist> persist;                       // unset: what --sessions says
  std::string sessions;                                 // where they are kept; "" = in the store
  std::uint64_t max_sessions = std::uint64_t{1} << 30;  // bytes that they may take there
  Milliseconds checkpoint = kCheckpoint;
  Renewal renewal;
  bool allow_no_login = false;
  std::optional<Milliseconds> wait_login;  // how long to wait for a login; unset: not at all
  bool allow_new_privileges = false;       // --allow-new-privileges: no PR_SET_NO_NEW_PRIVS
  bool exec = false;
  Sealing sealing;
  Storing storing;
  sync::Limits limits;
  store::Filter filter;
  supervise::Options supervision;
  std::vector<std::string> command;  // never empty: `claude` by default
  [[nodiscard]] bool keeps_sessions() const {
    return persist.value_or(sessions.empty() ? Persist::none : Persist::sessions) != Persist::none;
  }
};

struct Keep {
  std::vector<std::string> store_words;        // [NAME=]DIR, as they were written
  std::vector<std::string> publish_words;      // the same
  std::vector<std::string> placeholder_words;  // the same
  std::vector<KeptStore> stores;               // what those mean; never empty
  std::string listen;                          // ADDR:PORT; "" = no listener
  std::vector<std::string> allow_hosts;        // names beside its own that it answers to
  std::string on_change;                       // for /bin/sh -c; "" = nothing
  Sealing sealing;
  Renewal renewal;
  supervise::Options supervision;
};

/// One renewal, now.
struct Renew {
  std::string store;
  bool force = false;  // also where it is not due
  Sealing sealing;
  Renewal renewal;
  Output output;
};

struct Health {
  std::string store;
  Sealing sealing;
  std::string user;
  Output output;
  bool live = false;
  std::vector<std::string> live_command{"claude", "--print", "--model", "haiku", "ok"};  // never empty
  Milliseconds live_timeout{60'000};
  std::optional<Milliseconds> max_age;  // of an earlier result of --live that is shown again; unset: kMaxAge
  bool detailed_exit_code = false;      // a status for each state, instead of 0 and 1
  static constexpr Milliseconds kMaxAge{15 * 60'000};
};

struct Capture {
  std::string store;
  std::string from;  // never empty
  bool delete_missing = false;
  Output output;
  Sealing sealing;
  Storing storing;
  sync::Limits limits;
  store::Filter filter;
};

struct Restore {
  Sealing sealing;
  std::string store;
  std::string to;                // never empty
  std::uint64_t generation = 0;  // 0 = what the store has now
  Output output;
  store::RefreshToken refresh_token = store::RefreshToken::withhold;
  sync::Limits limits;
  store::Filter filter;
};

struct History {
  Sealing sealing;
  std::string store;
  Output output;
};

using Subcommand = std::variant<Init, Setup, Run, Keep, Renew, Health, Capture, Restore, History>;

/// What people are told, by all subcommands that know of a login.
struct Advice {
  std::string login_command;  // what they type to log in, "{name}" being the store's; "" = docker run
};

struct CommandLine {
  Logging logging;
  Advice advice;
  Subcommand subcommand;
  std::vector<std::string> warnings;  // of variables that are probably mistyped
};

/// What to print and to exit with, instead of running anything: help, version, or what is wrong.
struct Reply {
  std::string text;
  int exit_status = 0;
};

/// `arguments` without the program's name.
[[nodiscard]] std::variant<CommandLine, Reply> parse(const std::vector<std::string>& arguments,
                                                     const Environment& environment);

/// The words that are the command, by the rules for containers: none → `fallback`; a first word that begins
/// with "-" gets `claude` put before it, so that `docker run IMAGE --print hi` works.
[[nodiscard]] std::vector<std::string> complete_command(std::vector<std::string> words,
                                                        std::vector<std::string> fallback);

}  // namespace claude_init::options
