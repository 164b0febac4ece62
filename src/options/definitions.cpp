#include "options/definitions.h"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <functional>
#include <initializer_list>

#include "base/text.h"
#include "options/adders.h"
#include "options/groups.h"

namespace claude_init::options {
namespace {

void mark_early(Definitions& to, std::initializer_list<std::string_view> names) {
  for (Option& option : to.options) {
    if (std::find(names.begin(), names.end(), option.name) != names.end()) option.early = true;
  }
}

}  // namespace

void define(Definitions& to, Init& init) {
  add_supervision(to, init.supervision);
  mark_early(to, {"--grace"});
}

void define(Definitions& to, Setup& setup) {
  add_store(to, setup.store);
  add_flag(to, "--allow-ephemeral", setup.allow_ephemeral,
           {"go on although the store disappears with the container"});
  add_checkpoint(to, setup.checkpoint);
  add_storing(to, setup.storing);
  add_seal_keys(to, setup.sealing);
  add_adopt(to, setup.storing);
  add_user(to, setup.user, "user of the shell or command");
  add_wait(to, "--until-login", setup.until_login,
           {"end when the store has a usable login, or after TIME; for scripts", "you end it", "10m"});
  add_renewal(to, setup.renewal);
  add_limits(to, setup.limits);
  add_filter(to, setup.filter);
  add_supervision(to, setup.supervision);
  mark_early(to, {"--store", "--user", "--until-login", "--allow-ephemeral"});
}

void define(Definitions& to, Run& run) {
  add_store(to, run.store);
  add_user(to, run.user, "user of the command");
  add_wait(to, "--wait-login", run.wait_login,
           {"wait for a usable login, for TIME at most, then start", "do not wait", "10m"});
  add_flag(to, "--allow-no-login", run.allow_no_login, {"start the command without a login"});
  add_flag(to, "--allow-new-privileges", run.allow_new_privileges,
           {"let the command gain privileges: sudo, setuid programs"});
  add_flag(to, "--exec", run.exec,
           {"replace claude-init by the command: no supervision, and nothing wipes the working copy"});
  to.topic = "Working copy";
  add_choice<Copy>(
      to, "--copy", run.copy, {{"config", Copy::config}, {"all", Copy::all}, {"login", Copy::login}},
      {"config: everything but what sessions have written down; all: that too; login: the login and the "
       "settings",
       "config"});
  add_refresh_token(to, run.refresh_token);
  add_text(to, "--workdir", "DIR", run.workdir,
           {"the only place for the working copy",
            "the first suitable of $XDG_RUNTIME_DIR, /run, /tmp and HOME", "/dev/shm"},
           Completes::directory);
  to.topic = "Sessions";
  add_choice<std::optional<Persist>>(
      to, "--persist", run.persist,
      {{"none", Persist::none}, {"sessions", Persist::sessions}, {"all", Persist::all}},
      {"sessions: save the transcripts of this directory, for `claude --continue`; all: memory, plans and "
       "tasks too, "
       "which tell later runs what to do",
       "none"});
  add_text(to, "--sessions", "DIR", run.sessions,
           {"save the sessions in DIR; implies --persist sessions", "in the store", "/sessions"},
           Completes::directory);
  add_size(to, "--max-sessions", run.max_sessions,
           {"save no more once the kept sessions take SIZE", "1G", "200M"});
  add_renewal(to, run.renewal);
  to.topic = "Store";
  add_checkpoint(to, run.checkpoint);
  add_storing(to, run.storing);
  add_seal_key(to, run.sealing);
  add_limits(to, run.limits);
  add_filter(to, run.filter);
  add_supervision(to, run.supervision);
  mark_early(to, {"--store", "--user", "--wait-login", "--allow-no-login", "--copy", "--persist"});
}

void define(Definitions& to, Keep& keep) {
  to.topic = "Stores";
  add_list(to, "--store", "[NAME=]DIR", keep.store_words,
           {"a store to keep, and its name", "as for run, with the name of its directory", "work=/srv/work"},
           Completes::directory);
  add_list(to, "--publish", "[NAME=]DIR", keep.publish_words,
           {"keep in DIR what that store has, without the refresh token: production mounts it", "",
            "work=/srv/published"},
           Completes::directory);
  add_list(to, "--publish-placeholder", "[NAME=]DIR", keep.placeholder_words,
           {"keep in DIR the same without any token: jobs behind the gateway mount it", "",
            "work=/srv/placeholder"},
           Completes::directory);
  add_seal_keys(to, keep.sealing);
  to.topic = "Reports";
  add_text(to, "--listen", "ADDR:PORT", keep.listen,
           {"answer /livez, /readyz, /readyz/NAME, /status, /metrics and / over HTTP: no secrets, no TLS", "",
            "127.0.0.1:8080"});
  add_list(to, "--allow-host", "NAME", keep.allow_hosts,
           {"answer requests for this host name too, beside addresses and localhost", "", "keeper"});
  add_text(to, "--on-change", "CMD", keep.on_change,
           {"run CMD for each change, with CLAUDE_INIT_… variables, and JSON on standard input", "",
            "claude-webhook"},
           Completes::command);
  add_renewal(to, keep.renewal);
  add_duration(to, "--check-every", keep.renewal.check_every,
               {"renew at least that often, to detect earlier that the server ended the login; uses no quota",
                "only when due", "1h"});
  add_stopping(
      to, keep.supervision,
      {"time between TERM and KILL for a renewal that is under way; Claude Code needs 3s", "5s", "8s"});
  mark_early(to, {"--store", "--publish", "--listen", "--on-change"});
}

void define(Definitions& to, Renew& renew) {
  add_store(to, renew.store);
  add_seal_key(to, renew.sealing);
  to.topic = "Renewal";
  add_flag(to, "--force", renew.force,
           {"renew although it is not due, which spends the refresh token for the next one"});
  add_renewing(to, renew.renewal, "leave it out");
  add_output(to, renew.output, {"for you, or for a program", "text"});
  mark_early(to, {"--store", "--force"});
}

void define(Definitions& to, Health& health) {
  add_store(to, health.store);
  add_seal_key(to, health.sealing);
  add_user(to, health.user, "user of the command, for whom claude-init judges what can be read");
  to.topic = "Server";
  add_flag(
      to, "--live", health.live,
      {"also run Claude Code once, in a copy of its own, with one tiny request: whether the server answers"});
  add(to, "--max-age", "TIME", {"repeat the result of an earlier --live that is no older", "15m", "0"},
      [&](const std::string& text) -> Result<void> {
        const auto parsed = parse_duration(text);
        if (!parsed) return parsed.error();
        health.max_age = *parsed;
        return Done{};
      });
  add(to, "--live-timeout", "TIME", {"time limit of that request", "60s", "20s"},
      [&](const std::string& text) -> Result<void> {
        const auto parsed = parse_duration(text);
        if (!parsed) return parsed.error();
        if (parsed->count() == 0)
          return make_error(ErrorKind::usage, "no answer comes that fast", "write a time such as 30s");
        health.live_timeout = *parsed;
        return Done{};
      });
  add_words(to, "--live-command", health.live_command, "leave --live out",
            {"command that asks the server: words separated by blanks", "claude --print --model haiku ok",
             "'claude --print ok'"});
  add_output(to, health.output, {"for you, a program, or the textfile collector of Prometheus", "text"},
             Metrics::yes);
  add_flag(to, "--detailed-exit-code", health.detailed_exit_code,
           {"exit with a status for each state: 0 usable, 10 renewable, 11 expired, 12 dead, 13 missing, "
            "14 empty, 15 malformed, 16 unreadable, 17 no-store, 18 usable and without an answer to --live",
            "0 if a container that starts now can use the login, else 1"});
  mark_early(to, {"--store", "--live", "--format", "--json"});
}

void define(Definitions& to, Capture& capture) {
  to.topic = "Source";
  add_text(to, "--from", "DIR", capture.from,
           {"the configuration directory to capture: ~/.claude, or a copy of one", "", "~/.claude"},
           Completes::directory);
  add_flag(to, "--delete", capture.delete_missing,
           {"delete from the store what DIR does not have; never a login, and nothing if DIR is empty"});
  add_store(to, capture.store);
  add_storing(to, capture.storing);
  add_seal_key(to, capture.sealing);
  add_adopt(to, capture.storing);
  add_limits(to, capture.limits);
  add_filter(to, capture.filter);
  add_output(to, capture.output, {"json: beside the report, one object on standard output", "text"});
  mark_early(to, {"--from", "--store", "--delete"});
}

void define(Definitions& to, Restore& restore) {
  add_store(to, restore.store);
  add_seal_key(to, restore.sealing);
  to.topic = "Target";
  add_text(to, "--to", "DIR", restore.to,
           {"the configuration directory to fill: ~/.claude, or $CLAUDE_CONFIG_DIR", "", "~/.claude"},
           Completes::directory);
  add_number<std::uint64_t>(to, "--generation", restore.generation, 1, 1'000'000'000'000'000,
                            {"an earlier login and its settings, by the number that history shows",
                             "what the store has now", "12"});
  add_refresh_token(to, restore.refresh_token);
  add_limits(to, restore.limits);
  add_filter(to, restore.filter);
  add_output(to, restore.output, {"json: beside the report, one object on standard output", "text"});
  mark_early(to, {"--store", "--to", "--generation", "--refresh-token"});
}

void define(Definitions& to, History& history) {
  add_store(to, history.store);
  add_seal_key(to, history.sealing);
  add_output(to, history.output, {"for you, or for a program", "text"});
  mark_early(to, {"--store", "--format", "--json"});
}

void define(Definitions& to, Advice& advice) {
  add(to, "--login-command", "TEXT",
      {"login command that messages show; {name} becomes the store's name",
       "the docker run of this store, or claude-init setup", "'ssh host claude-login {name}'"},
      [&](const std::string& text) -> Result<void> {
        advice.login_command = text;
        const std::string place = unknown_place(text);
        if (place.empty()) return Done{};
        return make_error(ErrorKind::usage, "there is nothing that " + printable(place) + " stands for",
                          "write {name} where the store's name belongs");
      });
}

void define(Definitions& to, Logging& logging) {
  add(to, "--log-level", "error|warn|info|debug|trace",
      {"how much claude-init logs, on standard error, never a secret",
       logging.level == log::Level::info ? "info" : "warn"},
      [&](const std::string& text) -> Result<void> {
        const auto parsed = log::parse_level(text);
        if (!parsed) return parsed.error();
        logging.level = *parsed;
        return Done{};
      });
  to.options.back().words = {"error", "warn", "info", "debug", "trace"};
  add(to, "--log-format", "text|json", {"format of the log lines", "text"},
      [&](const std::string& text) -> Result<void> {
        const auto parsed = log::parse_format(text);
        if (!parsed) return parsed.error();
        logging.format = *parsed;
        return Done{};
      });
  to.options.back().words = {"text", "json"};
}

void define_help(Definitions& to) {
  to.app.set_help_all_flag("--help-all");
  to.options.push_back({.name = "--help",
                        .short_name = "-h",
                        .topic = to.topic,
                        .early = true,
                        .text = {"print what one needs in the first hour"}});
  to.options.push_back(
      {.name = "--help-all", .topic = to.topic, .early = true, .text = {"print all options, by topic"}});
}

namespace {

template <class Options>
std::vector<Option> all_of(log::Level level = log::Level::warn) {
  Options options;
  Advice advice;
  Logging logging{.level = level};
  Definitions to;
  define_all(to, options, advice, logging);
  return std::move(to.options);
}

}  // namespace

std::vector<Option> options_of(std::string_view subcommand) {
  if (subcommand == "init") return all_of<Init>();
  if (subcommand == "setup") return all_of<Setup>();
  if (subcommand == "run") return all_of<Run>();
  if (subcommand == "keep") return all_of<Keep>(log::Level::info);
  if (subcommand == "renew") return all_of<Renew>();
  if (subcommand == "health") return all_of<Health>();
  if (subcommand == "capture") return all_of<Capture>();
  if (subcommand == "restore") return all_of<Restore>();
  if (subcommand == "history") return all_of<History>();
  return {};
}

std::string variable_of(std::string_view option) {
  std::string name = "CLAUDE_INIT_";
  for (const char c : option.substr(option.find_first_not_of('-'))) {
    name += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return name;
}

std::string Option::usage() const {
  if (value.empty()) return name;
  return value_may_be_left_out ? fmt::format("{} [{}]", name, value) : fmt::format("{} {}", name, value);
}

}  // namespace claude_init::options
