#include "options/definitions.h"

#include <fmt/format.h>
#include <signal.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <functional>

#include "base/text.h"
#include "options/adders.h"

namespace claude_init::options {
namespace {

Result<int> parse_exit_status(std::string_view text) {
  int value = -1;
  if (!read_number(text, value) || value < 0 || value > 255) {
    return make_error(ErrorKind::usage, fmt::format("'{}' is not an exit status", text),
                      "write a number from 0 to 255");
  }
  return value;
}

/// Splits what `form` shows, "FROM:TO", and hands each half to its parser.
template <class ParseFrom, class ParseTo>
Result<std::pair<int, int>> parse_pair(std::string_view text, const std::string& form, ParseFrom parse_from,
                                       ParseTo parse_to) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) {
    return make_error(ErrorKind::usage, fmt::format("'{}' has no colon", text), "write " + form);
  }
  const auto from = parse_from(text.substr(0, colon));
  if (!from) return from.error();
  const auto to = parse_to(text.substr(colon + 1));
  if (!to) return to.error();
  return std::pair(*from, *to);
}

/// An option that may be given several times, each of the form `form`, "FROM:TO"; as a variable, the pairs
/// are separated by commas.
template <class ParseFrom, class ParseTo>
void add_map(CLI::App& app, const std::string& name, const std::string& form, std::map<int, int>& target,
             ParseFrom parse_from, ParseTo parse_to, const std::string& help) {
  app.add_option_function<std::vector<std::string>>(
         name,
         [name, form, &target, parse_from, parse_to](const std::vector<std::string>& texts) {
           for (const auto& text : texts) {
             const auto parsed = parse_pair(text, form, parse_from, parse_to);
             if (!parsed)
               throw CLI::ValidationError(name, parsed.error().message() + "; " + parsed.error().remedy);
             target[parsed->first] = parsed->second;
           }
         },
         help)
      ->envname(variable_of(name))
      ->delimiter(',')
      ->expected(1)
      ->take_all()
      ->type_name(form);
}

void add_stopping(CLI::App& app, supervise::Options& options, const std::string& grace_help) {
  add_duration(app, "--grace", options.grace, grace_help);
  add_duration(app, "--stop-timeout", options.stop_timeout,
               "what the engine gives us between its TERM and its KILL (default 10s, as Docker)");
}

void add_supervision(CLI::App& app, supervise::Options& options) {
  add_stopping(app, options, "between TERM and KILL (default 5s; the CLI needs 3s to save a token)");
  add_flag(app, "--group", options.group, "forward signals to the command's process group");
  add_map(
      app, "--rewrite", "FROM:TO", options.rewrite,
      [](std::string_view text) -> Result<int> {
        const auto parsed = supervise::parse_signal(text);
        if (!parsed || (*parsed != SIGKILL && *parsed != SIGSTOP)) return parsed;
        return make_error(ErrorKind::usage, fmt::format("{} never comes to us", text),
                          "name one that can be caught, such as TERM");
      },
      [](std::string_view text) -> Result<int> {
        return text.empty() ? Result<int>(0) : supervise::parse_signal(text);
      },
      "forward signal TO when FROM comes; an empty TO drops it (repeatable)");
  add_map(app, "--remap-exit", "N:M", options.remap_exit, parse_exit_status, parse_exit_status,
          "exit with M when the command exits with N (repeatable)");
  add(app, "--pdeathsig", "signal that we get when our parent dies",
      [&](const std::string& text) -> Result<void> {
        const auto parsed = supervise::parse_signal(text);
        if (!parsed) return parsed.error();
        options.pdeathsig = *parsed;
        return Done{};
      });
}

/// An option that may be given several times; as a variable, the words are separated by commas.
CLI::Option* add_list(CLI::App& app, const std::string& name, std::vector<std::string>& target,
                      const std::string& help) {
  return app.add_option(name, target, help)
      ->envname(variable_of(name))
      ->delimiter(',')
      ->expected(1)
      ->take_all();
}

void add_filter(CLI::App& app, store::Filter& filter) {
  add_list(app, "--include", filter.include,
           "pattern of paths to keep that are left out otherwise (repeatable)")
      ->type_name("GLOB");
  add_list(app, "--exclude", filter.exclude, "pattern of paths to leave out (repeatable)")->type_name("GLOB");
}

void add_checkpoint(CLI::App& app, Milliseconds& checkpoint) {
  add_duration(app, "--checkpoint", checkpoint,
               "save a login that has not been written to for so long (default 300ms)");
}

/// Words separated by blanks; no quoting, so that what is run is what is read.
std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  for (std::size_t at = text.find_first_not_of(" \t\n"); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(" \t\n", at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(" \t\n", end);
  }
  return words;
}

void add_words(CLI::App& app, const std::string& name, std::vector<std::string>& target,
               const std::string& instead, const std::string& help) {
  add(app, name, help, [&target, instead](const std::string& text) -> Result<void> {
    target = split_words(text);
    if (!cli::split(target).argv.empty()) return Done{};
    return make_error(ErrorKind::usage, "there is no command in it", "write a command, or " + instead);
  })->type_name("WORDS");
}

void add_renewing(CLI::App& app, Renewal& renewal, const std::string& instead) {
  add_duration(app, "--renew-before", renewal.before,
               "how long before, or half the token's lifetime if that is less (default 45m)");
  add_words(
      app, "--renew-command", renewal.command, instead,
      "what renews the login in $CLAUDE_CONFIG_DIR, behind NAME=VALUE words; must not end before the new "
      "token is saved (default: a request by claude that goes nowhere and costs nothing)");
}

void add_renewal(CLI::App& app, Renewal& renewal) {
  add_choice<bool>(app, "--renew", renewal.never, {{"auto", false}, {"never", true}},
                   "auto: renew the store's login before it expires, if the store can be written; never "
                   "(default auto)");
  add_renewing(app, renewal, "--renew=never");
}

void add_refresh_token(CLI::App& app, store::RefreshToken& target) {
  using store::RefreshToken;
  add_choice<RefreshToken>(
      app, "--refresh-token", target, {{"withhold", RefreshToken::withhold}, {"copy", RefreshToken::copy}},
      "withhold: the copy cannot renew, nor log anyone out; copy: it can, and the command of a run is "
      "trusted with the store's login (default withhold)");
}

/// A whole number from `least` to `most`.
template <class Number>
CLI::Option* add_number(CLI::App& app, const std::string& name, Number& target, Number least, Number most,
                        const std::string& help) {
  return add(app, name, help,
             [&target, least, most](const std::string& text) -> Result<void> {
               Number value = 0;
               if (!read_number(text, value) || value < least || value > most) {
                 return make_error(ErrorKind::usage, fmt::format("'{}' is not possible", text),
                                   fmt::format("write a whole number from {} to {}", least, most));
               }
               target = value;
               return Done{};
             })
      ->type_name("N");
}

void add_size(CLI::App& app, const std::string& name, std::uint64_t& target, const std::string& help) {
  add(app, name, help, [&target](const std::string& text) -> Result<void> {
    const auto parsed = parse_bytes(text);
    if (!parsed) return parsed.error();
    if (*parsed == 0) return make_error(ErrorKind::usage, "no state is that small", "write 1 or more: 100M");
    target = *parsed;
    return Done{};
  })->type_name("SIZE");
}

void add_limits(CLI::App& app, sync::Limits& limits) {
  add_size(app, "--max-bytes", limits.max_bytes, "refuse a state that is larger (default 16G)");
  add_number<std::uint64_t>(app, "--max-files", limits.max_files, 1, 1'000'000'000,
                            "refuse a state of more files and directories (default 2000000)");
  add_number<unsigned>(app, "--max-depth", limits.max_depth, 1, 1000,
                       "refuse a state whose directories are deeper (default 128)");
}

void add_storing(CLI::App& app, Storing& storing) {
  using store::Access;
  using store::Locking;
  add_text(app, "--store-owner", storing.owner,
           "NAME or UID[:GID] that the store belongs to (default: whom its directory belongs to)")
      ->type_name("USER");
  add_choice<Access>(app, "--store-mode", storing.options.access,
                     {{"private", Access::private_only}, {"group", Access::group}},
                     "private: 0700/0600; group: 2750/0640 (default: group if its directory is setgid)");
  add_number<unsigned>(app, "--keep-generations", storing.keep_generations, 1, 1000,
                       "how many earlier logins the store keeps (default 5)");
  add_choice<Locking>(
      app, "--locking", storing.options.locking,
      {{"auto", Locking::automatic}, {"flock", Locking::flock}, {"lease", Locking::lease}},
      "how a new store is locked; auto: a lease on network file systems, else flock (default auto)");
}

/// Not where somebody may not be there to say that the original is not used any more.
void add_adopt(CLI::App& app, Storing& storing) {
  add_flag(app, "--adopt", storing.options.adopt,
           "the store was copied or moved here and the original is not used any more: take it over");
}

/// A value that may be left out, and flag words as every variable of a flag takes them.
void add_wait_login(CLI::App& app, std::optional<Milliseconds>& target, const std::string& help) {
  add(app, "--wait-login", help,
      [&target](const std::string& text) -> Result<void> {
        const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
          return std::find(words.begin(), words.end(), text) != words.end();
        };
        target.reset();
        if (is_one_of({"0", "false", "no", "off"})) return Done{};
        target = kForever;
        if (is_one_of({"", "1", "true", "yes", "on"})) return Done{};
        const auto parsed = parse_duration(text);
        if (!parsed) return parsed.error();
        target = *parsed;
        return Done{};
      })
      ->type_name("TIME")
      ->expected(0, 1);
}

constexpr const char* kStoreHelp =
    "the store (default: /claude-auth, /auth-output, ~/.claude if it is a mount; on a host $CLAUDE_HUB_DIR "
    "or ~/.claude-hub)";
constexpr const char* kUserHelp = "NAME or UID[:GID] to run as (default: node, when root and it exists)";

}  // namespace

void define(CLI::App& app, Init& init) {
  add_supervision(app, init.supervision);
}

void define(CLI::App& app, Setup& setup) {
  add_text(app, "--store", setup.store, kStoreHelp)->type_name("DIR");
  add_text(app, "--user", setup.user, kUserHelp)->type_name("USER");
  add_flag(app, "--allow-ephemeral", setup.allow_ephemeral,
           "go on although the store would be lost with the container");
  add_wait_login(app, setup.wait_login,
                 "end by itself when there is a login that can be used, or after TIME; for scripts");
  add_checkpoint(app, setup.checkpoint);
  add_renewal(app, setup.renewal);
  add_storing(app, setup.storing);
  add_adopt(app, setup.storing);
  add_limits(app, setup.limits);
  add_filter(app, setup.filter);
  add_supervision(app, setup.supervision);
}

void define(CLI::App& app, Run& run) {
  add_text(app, "--store", run.store, kStoreHelp)->type_name("DIR");
  add_text(app, "--user", run.user, kUserHelp)->type_name("USER");
  add_text(app, "--workdir", run.workdir,
           "where the working copy goes (default: $XDG_RUNTIME_DIR, /run, /tmp or HOME)")
      ->type_name("DIR");
  add_choice<Copy>(app, "--copy", run.copy,
                   {{"config", Copy::config}, {"all", Copy::all}, {"login", Copy::login}},
                   "config: all but what sessions have written down; all: that too; login: the login and the "
                   "settings (default config)");
  add_refresh_token(app, run.refresh_token);
  add_choice<std::optional<Persist>>(
      app, "--persist", run.persist,
      {{"none", Persist::none}, {"sessions", Persist::sessions}, {"all", Persist::all}},
      "sessions: transcripts of this directory are saved, for `claude --continue`; all: memory and plans "
      "too, "
      "which tell later runs what to do (default none)");
  add_text(app, "--sessions", run.sessions,
           "keep the sessions there instead of in the store (means --persist sessions)")
      ->type_name("DIR");
  add_size(app, "--max-sessions", run.max_sessions,
           "save no more when the kept sessions take that (default 1G)");
  add_renewal(app, run.renewal);
  add_flag(app, "--allow-no-login", run.allow_no_login, "start the command even if nobody has logged in");
  add_wait_login(app, run.wait_login,
                 "wait until there is a login that can be used, for TIME at most, and start then");
  add_flag(app, "--new-privileges", run.new_privileges,
           "let the command gain privileges (sudo, setuid programs)");
  add_flag(app, "--exec", run.exec, "replace claude-init by the command instead of supervising it");
  add_checkpoint(app, run.checkpoint);
  add_storing(app, run.storing);
  add_limits(app, run.limits);
  add_filter(app, run.filter);
  add_supervision(app, run.supervision);
}

void define(CLI::App& app, Keep& keep) {
  add_list(app, "--store", keep.store_words,
           "a store to keep, called NAME or like its directory (repeatable; default: as for run)")
      ->type_name("[NAME=]DIR");
  add_list(app, "--publish", keep.publish_words,
           "keep there what that store has, without the refresh token: what production mounts (repeatable)")
      ->type_name("[NAME=]DIR");
  add_list(app, "--publish-placeholder", keep.placeholder_words,
           "the same without any token: what jobs behind the gateway mount (repeatable)")
      ->type_name("[NAME=]DIR");
  add(app, "--log-in",
      "what a person types to log in, as it is told to them; {name} becomes the store's name",
      [&](const std::string& text) -> Result<void> {
        keep.log_in = text;
        const std::string place = unknown_place(text);
        if (place.empty()) return Done{};
        return make_error(ErrorKind::usage, "there is nothing that " + printable(place) + " stands for",
                          "write {name} where the store's name belongs");
      })
      ->type_name("TEXT");
  add_text(app, "--listen", keep.listen,
           "answer /livez, /readyz, /readyz/NAME, /status, /metrics and / over HTTP: no secrets, no TLS")
      ->type_name("ADDR:PORT");
  add_list(app, "--allow-host", keep.allow_hosts,
           "answer requests for this host name too, not only for addresses and localhost (repeatable)")
      ->type_name("NAME");
  add_text(app, "--on-change", keep.on_change,
           "call this for each change, told in CLAUDE_INIT_… variables and as JSON on standard input")
      ->type_name("CMD");
  add_renewal(app, keep.renewal);
  add_duration(
      app, "--check-every", keep.renewal.check_every,
      "renew at least that often, to learn sooner of a login that was ended elsewhere; costs no quota "
      "(default: when it is due)");
  add_stopping(app, keep.supervision,
               "between TERM and KILL, for a renewal that runs (default 5s; the CLI needs 3s)");
}

void define(CLI::App& app, Renew& renew) {
  add_text(app, "--store", renew.store, kStoreHelp)->type_name("DIR");
  add_flag(app, "--force", renew.force, "renew although it is not due: spends a token and gets the next one");
  add_renewing(app, renew.renewal, "leave it out");
}

void define(CLI::App& app, Health& health) {
  add_text(app, "--store", health.store, kStoreHelp)->type_name("DIR");
  add_text(app, "--user", health.user, kUserHelp)->type_name("USER");
  using Format = Health::Format;
  add_choice<std::optional<Format>>(
      app, "--format", health.format,
      {{"text", Format::text}, {"json", Format::json}, {"prometheus", Format::prometheus}},
      "text, json, or prometheus: metrics for a textfile collector (default text)");
  add_flag(app, "--json", health.json, "short for --format json");
  add_flag(app, "--live", health.live,
           "also run the CLI once, in a copy of its own, with one tiny request: whether the server answers");
  add(app, "--max-age", "tell the result of an earlier --live again if it is no older (default 15m)",
      [&](const std::string& text) -> Result<void> {
        const auto parsed = parse_duration(text);
        if (!parsed) return parsed.error();
        health.max_age = *parsed;
        return Done{};
      })
      ->type_name("TIME");
  add(app, "--live-timeout", "how long it may take (default 60s)",
      [&](const std::string& text) -> Result<void> {
        const auto parsed = parse_duration(text);
        if (!parsed) return parsed.error();
        if (parsed->count() == 0)
          return make_error(ErrorKind::usage, "no answer comes that fast", "write a time such as 30s");
        health.live_timeout = *parsed;
        return Done{};
      })
      ->type_name("TIME");
  add_words(app, "--live-command", health.live_command, "leave --live out",
            "what to run instead of claude --print --model haiku ok; words separated by blanks");
  using ExitCode = Health::ExitCode;
  add_choice<ExitCode>(
      app, "--exit-code", health.exit_code, {{"probe", ExitCode::probe}, {"state", ExitCode::state}},
      "probe: 0 if a container that starts now can use the login, else 1; state: 0 usable, "
      "10 renewable, 11 expired, 12 dead, 13 missing, 14 empty, 15 malformed, 16 unreadable, "
      "17 no-store, 18 usable and without an answer to --live (default probe)");
}

void define(CLI::App& app, Capture& capture) {
  add_text(app, "--from", capture.from, "the configuration directory to capture: ~/.claude, a copy of one")
      ->type_name("DIR");
  add_text(app, "--store", capture.store, kStoreHelp)->type_name("DIR");
  add_flag(app, "--delete", capture.delete_missing,
           "delete from the store what DIR does not have (never a login; nothing if DIR is empty)");
  add_storing(app, capture.storing);
  add_adopt(app, capture.storing);
  add_limits(app, capture.limits);
  add_filter(app, capture.filter);
}

void define(CLI::App& app, Restore& restore) {
  add_text(app, "--store", restore.store, kStoreHelp)->type_name("DIR");
  add_text(app, "--to", restore.to, "the configuration directory to fill: ~/.claude, $CLAUDE_CONFIG_DIR")
      ->type_name("DIR");
  add_number<std::uint64_t>(app, "--generation", restore.generation, 1, 1'000'000'000'000'000,
                            "an earlier login and its settings, by the number that history shows");
  add_refresh_token(app, restore.refresh_token);
  add_limits(app, restore.limits);
  add_filter(app, restore.filter);
}

void define(CLI::App& app, History& history) {
  add_text(app, "--store", history.store, kStoreHelp)->type_name("DIR");
  add_flag(app, "--json", history.json, "the same for machines");
}

void define(CLI::App& app, Logging& logging) {
  const char* usual = logging.level == log::Level::info ? "info" : "warn";
  add(app, "--log-level", fmt::format("error, warn, info, debug or trace (default {})", usual),
      [&](const std::string& text) -> Result<void> {
        const auto parsed = log::parse_level(text);
        if (!parsed) return parsed.error();
        logging.level = *parsed;
        return Done{};
      });
  add(app, "--log-format", "text or json, on standard error (default text)",
      [&](const std::string& text) -> Result<void> {
        const auto parsed = log::parse_format(text);
        if (!parsed) return parsed.error();
        logging.format = *parsed;
        return Done{};
      });
}

}  // namespace claude_init::options
