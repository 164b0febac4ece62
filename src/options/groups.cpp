#include "options/groups.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>

#include "base/text.h"

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
void add_map(Definitions& to, const std::string& name, const std::string& form, std::map<int, int>& target,
             ParseFrom parse_from, ParseTo parse_to, const Text& text) {
  auto* option = to.app.add_option_function<std::vector<std::string>>(
      name, [name, form, &target, parse_from, parse_to](const std::vector<std::string>& given) {
        for (const auto& pair : given) {
          const auto parsed = parse_pair(pair, form, parse_from, parse_to);
          if (!parsed)
            throw CLI::ValidationError(name, parsed.error().message() + "; " + parsed.error().remedy);
          target[parsed->first] = parsed->second;
        }
      });
  Option& described = describe(to, option, text);
  described.value = form;
  described.repeatable = true;
  option->delimiter(',')->expected(1)->take_all()->type_name(form);
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

}  // namespace

void add_stopping(Definitions& to, supervise::Options& options, const Text& grace) {
  to.topic = "Supervision";
  add_duration(to, "--grace", options.grace, grace);
  add_duration(to, "--stop-timeout", options.stop_timeout,
               options.stop_timeout
                   ? Text{"time from the engine's TERM to its KILL: claude-init ends everything, "
                          "and saves what it has to, within it",
                          "10s, as Docker", "30s"}
                   : Text{"time from the engine's TERM to its KILL: claude-init ends everything "
                          "within it",
                          "not known: the engine's KILL ends what is left", "10s"});
}

void add_supervision(Definitions& to, supervise::Options& options) {
  add_stopping(to, options,
               options.grace ? Text{"time between TERM and KILL for the command and what it leaves behind; "
                                    "Claude Code needs 3s to save a token",
                                    "5s", "8s"}
                             : Text{"time between TERM and KILL for the command and what it leaves behind",
                                    "no KILL for the command, 5s for what it leaves behind", "8s"});
  add_flag(to, "--group", options.group,
           {"forward signals to the command's process group, not to the command alone"});
  add_map(
      to, "--rewrite", "FROM:TO", options.rewrite,
      [](std::string_view text) -> Result<int> {
        auto parsed = supervise::parse_signal(text);
        if (!parsed || (*parsed != SIGKILL && *parsed != SIGSTOP)) return parsed;
        return make_error(ErrorKind::usage, fmt::format("{} never comes to us", text),
                          "name one that can be caught, such as TERM");
      },
      [](std::string_view text) -> Result<int> {
        return text.empty() ? Result<int>(0) : supervise::parse_signal(text);
      },
      {"forward signal TO when FROM comes; an empty TO drops it", "", "TERM:INT"});
  add_map(to, "--remap-exit", "N:M", options.remap_exit, parse_exit_status, parse_exit_status,
          {"exit with status M when the command exits with N", "", "143:0"});
  add(to, "--pdeathsig", "SIGNAL",
      {"ask the kernel to send claude-init SIGNAL when its parent dies", "", "TERM"},
      [&](const std::string& text) -> Result<void> {
        const auto parsed = supervise::parse_signal(text);
        if (!parsed) return parsed.error();
        options.pdeathsig = *parsed;
        return Done{};
      });
  to.options.back().completes = Completes::signal;
}

void add_filter(Definitions& to, store::Filter& filter) {
  to.topic = "Files";
  add_list(to, "--include", "GLOB", filter.include,
           {"keep paths that match GLOB, which claude-init leaves out otherwise", "", "'projects/**'"});
  add_list(to, "--exclude", "GLOB", filter.exclude, {"leave out paths that match GLOB", "", "'plugins/**'"});
}

void add_checkpoint(Definitions& to, Milliseconds& checkpoint) {
  add_duration(
      to, "--checkpoint", checkpoint,
      {"save the login once it has been unchanged for TIME; within 600ms in any case", "300ms", "100ms"});
}

void add_words(Definitions& to, const std::string& name, std::vector<std::string>& target,
               const std::string& instead, const Text& text) {
  add(to, name, "WORDS", text, [&target, instead](const std::string& given) -> Result<void> {
    target = split_words(given);
    if (!cli::split(target).argv.empty()) return Done{};
    return make_error(ErrorKind::usage, "there is no command in it", "write a command, or " + instead);
  });
}

void add_renewing(Definitions& to, Renewal& renewal, const std::string& instead) {
  add_duration(
      to, "--renew-before", renewal.before,
      {"renew the login TIME before its access token expires, or at half the token's lifetime if that is "
       "later",
       "45m", "1h"});
  add_words(
      to, "--renew-command", renewal.command, instead,
      {"command that renews the login in $CLAUDE_CONFIG_DIR: words separated by blanks, NAME=VALUE first; it "
       "has to save the new token before it exits",
       "a request of Claude Code that goes nowhere and costs nothing", "'claude --print --model haiku ok'"});
}

void add_renewal(Definitions& to, Renewal& renewal) {
  to.topic = "Renewal";
  add_choice<bool>(
      to, "--renew", renewal.never, {{"auto", false}, {"never", true}},
      {"auto: renew the login before its access token expires, if the store is writable", "auto"});
  add_renewing(to, renewal, "--renew=never");
}

void add_refresh_token(Definitions& to, store::RefreshToken& target) {
  using store::RefreshToken;
  add_choice<RefreshToken>(to, "--refresh-token", target,
                           {{"withhold", RefreshToken::withhold}, {"copy", RefreshToken::copy}},
                           {"withhold: the copy can neither renew the login nor log others out; copy: it "
                            "can, and the command of a run "
                            "is trusted with the store's login",
                            "withhold"});
}

void add_size(Definitions& to, const std::string& name, std::uint64_t& target, const Text& text) {
  add(to, name, "SIZE", text, [&target](const std::string& given) -> Result<void> {
    const auto parsed = parse_bytes(given);
    if (!parsed) return parsed.error();
    if (*parsed == 0) return make_error(ErrorKind::usage, "no state is that small", "write 1 or more: 100M");
    target = *parsed;
    return Done{};
  });
}

void add_limits(Definitions& to, sync::Limits& limits) {
  to.topic = "Files";
  add_size(to, "--max-bytes", limits.max_bytes, {"refuse a state that is larger", "16G", "2G"});
  add_number<std::uint64_t>(to, "--max-files", limits.max_files, 1, 1'000'000'000,
                            {"refuse a state of more files and directories", "2000000", "100000"});
  add_number<unsigned>(to, "--max-depth", limits.max_depth, 1, 1000,
                       {"refuse a state whose directories are deeper", "128", "40"});
}

void add_storing(Definitions& to, Storing& storing) {
  using store::Access;
  using store::Locking;
  to.topic = "Store";
  add_text(to, "--store-owner", "NAME|UID[:GID]", storing.owner,
           {"owner of the store", "its directory's owner", "1000:1000"}, Completes::user);
  add_choice<Access>(to, "--store-mode", storing.options.access,
                     {{"private", Access::private_only}, {"group", Access::group}},
                     {"private: modes 0700 and 0600; group: 2750 and 0640, with the directory's group",
                      "group if the directory is setgid, else private"});
  add_number<unsigned>(to, "--keep-generations", storing.keep_generations, 1, 1000,
                       {"number of earlier logins that the store keeps", "5", "20"});
  add_choice<Locking>(to, "--locking", storing.options.locking,
                      {{"auto", Locking::automatic}, {"flock", Locking::flock}, {"lease", Locking::lease}},
                      {"lock of a new store; auto: a lease on network file systems, elsewhere flock; for an "
                       "existing store it works "
                       "only with --adopt",
                       "auto"});
}

void add_seal_key(Definitions& to, Sealing& sealing) {
  add_text(to, "--seal-key", "FILE", sealing.key,
           {"the key of a sealed store: at least 32 bytes, outside the store, not readable by all; with it "
            "the refresh token is never stored in plain",
            "the store is not sealed, or its refresh token is not needed", "/run/secrets/claude-seal-key"},
           Completes::file);
}

void add_seal_keys(Definitions& to, Sealing& sealing) {
  add_seal_key(to, sealing);
  add_text(to, "--old-seal-key", "FILE", sealing.old_key,
           {"the key before: seals everything anew with that of --seal-key; needed once", "",
            "/run/secrets/claude-seal-key.old"},
           Completes::file);
}

void add_adopt(Definitions& to, Storing& storing) {
  to.topic = "Store";
  add_flag(to, "--adopt", storing.options.adopt,
           {"take over a store that you copied or moved here; the original must not be in use any more"});
}

void add_wait(Definitions& to, const std::string& name, std::optional<Milliseconds>& target,
              const Text& text) {
  auto* option = add(to, name, "TIME", text, [&target](const std::string& given) -> Result<void> {
    const auto is_one_of = [&](std::initializer_list<std::string_view> words) {
      return std::find(words.begin(), words.end(), given) != words.end();
    };
    target.reset();
    if (is_one_of({"0", "false", "no", "off"})) return Done{};
    target = kForever;
    if (is_one_of({"", "1", "true", "yes", "on"})) return Done{};
    const auto parsed = parse_duration(given);
    if (!parsed) return parsed.error();
    target = *parsed;
    return Done{};
  });
  option->expected(0, 1);
  to.options.back().value_may_be_left_out = true;
}

void add_output(Definitions& to, Output& output, const Text& text, Metrics metrics) {
  to.topic = "Output";
  std::vector<std::pair<std::string_view, std::optional<Format>>> formats{{"text", Format::text},
                                                                          {"json", Format::json}};
  if (metrics == Metrics::yes) formats.emplace_back("prometheus", Format::prometheus);
  add_choice<std::optional<Format>>(to, "--format", output.format, std::move(formats), text);
  add_flag(to, "--json", output.json, {"short for --format json"});
}

void add_store(Definitions& to, std::string& store) {
  to.topic = "Store";
  add_text(to, "--store", "DIR", store,
           {"the store: a directory with the login and all that belongs to it",
            "/claude-auth, else /auth-output, else ~/.claude if it is a mount; outside containers "
            "$CLAUDE_HUB_DIR, "
            "else ~/.claude-hub",
            "/srv/claude"},
           Completes::directory);
}

void add_user(Definitions& to, std::string& user, const char* help) {
  to.topic = "Command";
  add_text(to, "--user", "NAME|UID[:GID]", user, {help, "node when root and it exists", "1000:1000"},
           Completes::user);
}

}  // namespace claude_init::options
