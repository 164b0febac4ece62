#include "options/options.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>

#include "options/option.h"
#include "options/suggest.h"
#include "ui/exit_status.h"

using namespace claude_init;
using namespace claude_init::options;

namespace {

std::variant<CommandLine, Reply> parse_words(std::vector<std::string> words) {
  const char* const none[] = {nullptr};
  return parse(words, Environment(none));
}

template <class T>
T parsed_as(std::vector<std::string> words) {
  auto result = parse_words(std::move(words));
  REQUIRE(std::holds_alternative<CommandLine>(result));
  return std::get<T>(std::get<CommandLine>(result).subcommand);
}

std::string refused(std::vector<std::string> words) {
  auto result = parse_words(std::move(words));
  REQUIRE(std::holds_alternative<Reply>(result));
  CHECK(std::get<Reply>(result).exit_status == kExitUsage);
  return std::get<Reply>(result).text;
}

using Words = std::vector<std::string>;
using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("the command begins at the first word that is not an option, or behind --") {
  CHECK(parsed_as<Run>({"run", "--store", "/s", "bash", "-c", "exit 3"}).command ==
        Words{"bash", "-c", "exit 3"});
  CHECK(parsed_as<Run>({"run", "--store=/s", "--", "bash", "--store"}).command == Words{"bash", "--store"});
  CHECK(parsed_as<Run>({"run", "--exec", "true"}).command == Words{"true"});
  CHECK(parsed_as<Run>({"run", "--", "--", "x"}).command == Words{"x"});
  CHECK(parsed_as<Init>({"init", "-"}).command == Words{"claude", "-"});
}

TEST_CASE("--login-command is for every subcommand that knows of a login, and for no other") {
  for (Words words : {Words{"setup"}, Words{"run"}, Words{"keep"}, Words{"renew"}, Words{"health"},
                      Words{"capture", "--from=x"}, Words{"restore", "--to=x"}, Words{"history"}}) {
    INFO(words.front());
    words.emplace_back("--login-command=log in to {name}");
    const auto parsed = parse_words(words);
    REQUIRE(std::holds_alternative<CommandLine>(parsed));
    CHECK(std::get<CommandLine>(parsed).advice.login_command == "log in to {name}");
    words.back() = "--login-command=do {nmae}";
    CHECK_THAT(refused(words), Contains("{nmae}") && Contains("write {name}"));
  }
  CHECK_THAT(refused({"init", "--login-command=x", "true"}), Contains("no option '--login-command"));
}

TEST_CASE(
    "what other programs call a subcommand of ours gets its name, and a typing mistake the nearest one") {
  CHECK_THAT(refused({"login"}), Contains("there is no subcommand 'login'; did you mean 'setup'?"));
  CHECK_THAT(refused({"status"}), Contains("did you mean 'health'?"));
  CHECK_THAT(refused({"serve", "--listen=:80"}), Contains("did you mean 'keep'?"));
  CHECK_THAT(refused({"rnu"}), Contains("did you mean 'run'?"));
  CHECK_THAT(refused({"hist"}), Contains("did you mean 'history'?"));
  CHECK_THAT(refused({"histroy"}), Contains("did you mean 'history'?"));
  CHECK_THAT(refused({"heath"}), Contains("did you mean 'health'?"));
  CHECK_THAT(refused({"captrue"}), Contains("did you mean 'capture'?"));
  CHECK_THAT(refused({"statu"}), Contains("did you mean 'health'?"));
  CHECK_THAT(refused({"lgoin"}), Contains("did you mean 'setup'?"));
  CHECK_THAT(refused({"srve"}), Contains("did you mean 'keep'?"));
  CHECK_THAT(refused({"frobnicate"}),
             Contains("write setup, run, keep, health, renew, capture, restore, history or init"));
}

TEST_CASE("help NAME is the help of that subcommand") {
  const auto text = [](const Words& words) {
    const auto reply = std::get<Reply>(parse_words(words));
    CHECK(reply.exit_status == 0);
    return reply.text;
  };
  CHECK(text({"help", "run"}) == text({"run", "--help"}));
  CHECK(text({"help"}) == text({"--help"}));
  CHECK_THAT(refused({"help", "rnu"}), Contains("did you mean 'run'?"));
}

TEST_CASE("each subcommand has a page, whose examples are command lines of it") {
  REQUIRE(pages().size() == std::variant_size_v<Subcommand>);
  for (const Page& page : pages()) {
    REQUIRE(page_of(page.name) == &page);
    REQUIRE_FALSE(page.examples.empty());
    for (const Example& example : page.examples) {
      INFO(example.line);
      Words words;
      for (std::string_view rest = example.line; !rest.empty();) {
        const std::size_t end = std::min(rest.find(' '), rest.size());
        words.emplace_back(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      REQUIRE(words.front() == "claude-init");
      REQUIRE(words.at(1) == page.name);
      words.erase(words.begin());
      CHECK(std::holds_alternative<CommandLine>(parse_words(words)));
    }
  }
  CHECK(page_of("login") == nullptr);
  CHECK(options_of("login").empty());
}

TEST_CASE("each option has a topic, words, and an example where the value does not speak for itself") {
  for (const Page& page : pages()) {
    const auto all = options_of(page.name);
    CHECK(all.size() >= 8);
    CHECK(std::any_of(all.begin(), all.end(), [](const Option& option) { return option.early; }));
    for (const Option& option : all) {
      INFO(page.name << ' ' << option.name);
      CHECK(option.name.starts_with("--"));
      CHECK_FALSE(option.topic.empty());
      const std::string_view help = option.text.help;
      CHECK((help.size() > 10 && !help.ends_with('.')));
      const bool speaks = option.value.empty() || !option.words.empty();
      CHECK(speaks == (option.text.example[0] == '\0'));
      if (speaks) continue;
      // The example is a value that is taken.
      std::string value = option.text.example;
      std::erase(value, '\'');
      Words words{std::string(page.name), option.name + '=' + value};
      if (page.name == "capture") words.emplace_back("--from=x");
      if (page.name == "restore") words.emplace_back("--to=x");
      if (option.name.starts_with("--publish")) words.emplace_back("--store=work=/s");
      if (option.name.starts_with("--max-age")) words.emplace_back("--live");
      if (option.name == "--from" || option.name == "--to") words.pop_back();
      if (!page.command.empty()) words.emplace_back("true");
      CHECK(std::holds_alternative<CommandLine>(parse_words(words)));
    }
  }
}

TEST_CASE("what a value completes to is what is taken") {
  for (const Page& page : pages()) {
    for (const Option& option : options_of(page.name)) {
      for (const std::string& word : option.words) {
        Words words{std::string(page.name), option.name + '=' + word};
        if (page.name == "capture") words.emplace_back("--from=x");
        if (page.name == "restore") words.emplace_back("--to=x");
        if (!page.command.empty()) words.emplace_back("true");
        INFO(page.name << ' ' << words[1]);
        CHECK(std::holds_alternative<CommandLine>(parse_words(words)));
        words[1] += 'x';
        CHECK_THAT(refused(words), Contains(option.name));
      }
    }
  }
}

TEST_CASE("run: the time of --wait-login may be left out, and is no command") {
  const auto run = [](std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    return parsed_as<Run>(std::move(words));
  };
  CHECK_FALSE(run({"cmd"}).wait_login);
  CHECK(run({"--wait-login"}).wait_login == kForever);
  CHECK(run({"--wait-login", "cmd"}).wait_login == kForever);
  CHECK(run({"--wait-login", "cmd"}).command == Words{"cmd"});
  CHECK(run({"--wait-login", "7z", "x"}).command == Words{"7z", "x"});
  CHECK(run({"--wait-login", "--", "10m"}).command == Words{"10m"});
  CHECK(run({"--wait-login", "10m", "cmd"}).wait_login == Milliseconds(600'000));
  CHECK(run({"--wait-login", "10m", "cmd"}).command == Words{"cmd"});
  CHECK(run({"--wait-login=10m", "--store", "/s"}).wait_login == Milliseconds(600'000));
  CHECK(run({"--wait-login=on"}).wait_login == kForever);
  CHECK_FALSE(run({"--wait-login=0"}).wait_login);
  CHECK_THAT(refused({"run", "--wait-login=soon", "cmd"}), Contains("write a number with a unit"));
}

TEST_CASE(
    "--json is short for one format, and another one beside it is refused, of each subcommand that prints") {
  const auto chosen = [](const std::vector<std::string>& words) {
    return parsed_as<Health>(words).output.chosen();
  };
  CHECK(chosen({"health"}) == Format::text);
  CHECK(chosen({"health", "--json"}) == Format::json);
  CHECK(chosen({"health", "--format", "prometheus"}) == Format::prometheus);
  CHECK(chosen({"health", "--json", "--format=json"}) == Format::json);
  for (Words words : {Words{"health"}, Words{"renew"}, Words{"capture", "--from=x"},
                      Words{"restore", "--to=x"}, Words{"history"}}) {
    words.insert(words.end(), {"--json", "--format=text"});
    CHECK_THAT(refused(words), Contains("take away one of them"));
    words.pop_back();
    CHECK(std::holds_alternative<CommandLine>(parse_words(words)));
  }
  CHECK(parsed_as<History>({"history", "--json"}).output.chosen() == Format::json);
  CHECK_THAT(refused({"history", "--format=prometheus"}), Contains("write text or json"));
}

TEST_CASE("health: what belongs to --live") {
  CHECK_THAT(refused({"health", "--max-age=5m"}), Contains("of --live; add that"));
  CHECK_THAT(refused({"health", "--live", "--live-command= "}), Contains("no command"));
  CHECK(parsed_as<Health>({"health", "--live", "--max-age=0"}).max_age == Milliseconds(0));
  CHECK_THAT(refused({"health", "--format=xml"}), Contains("text or json or prometheus"));
}

TEST_CASE("a command that begins with a dash gets claude put before it, and run without one runs claude") {
  CHECK(parsed_as<Run>({"run", "--", "--print", "hi"}).command == Words{"claude", "--print", "hi"});
  CHECK(parsed_as<Run>({"run"}).command == Words{"claude"});
  CHECK(parsed_as<Setup>({"setup", "--"}).command.empty());
}

TEST_CASE("options reach their fields") {
  const auto run =
      parsed_as<Run>({"run",          "--user",      "1000:1000", "--copy=login", "--refresh-token",
                      "copy",         "--grace",     "7s",        "--remap-exit", "143:0",
                      "--remap-exit", "1:2",         "--rewrite", "TERM:INT",     "--rewrite",
                      "HUP:",         "--pdeathsig", "KILL",      "--exclude",    "x/*",
                      "--exclude",    "y",           "cmd"});
  CHECK(run.user == "1000:1000");
  CHECK(run.copy == Copy::login);
  CHECK(run.refresh_token == store::RefreshToken::copy);
  CHECK(run.supervision.grace == Milliseconds(7000));
  CHECK(run.supervision.remap_exit == std::map<int, int>{{143, 0}, {1, 2}});
  CHECK(run.supervision.rewrite == std::map<int, int>{{SIGTERM, SIGINT}, {SIGHUP, 0}});
  CHECK(run.supervision.pdeathsig == SIGKILL);
  CHECK(run.filter.exclude == Words{"x/*", "y"});
  CHECK(run.command == Words{"cmd"});
}

TEST_CASE("a variable sets an option and the command line wins over it") {
  ::setenv("CLAUDE_INIT_GRACE", "3s", 1);
  ::setenv("CLAUDE_INIT_REMAP_EXIT", "143:0,129:0", 1);
  const auto from_variable = parsed_as<Init>({"init", "true"});
  const auto from_line = parsed_as<Init>({"init", "--grace", "4s", "true"});
  ::setenv("CLAUDE_INIT_GRACE", "soon", 1);
  const std::string text = refused({"init", "true"});
  ::unsetenv("CLAUDE_INIT_GRACE");
  ::unsetenv("CLAUDE_INIT_REMAP_EXIT");
  CHECK(from_variable.supervision.grace == Milliseconds(3000));
  CHECK(from_variable.supervision.remap_exit == std::map<int, int>{{143, 0}, {129, 0}});
  CHECK(from_line.supervision.grace == Milliseconds(4000));
  CHECK_THAT(text, Contains("CLAUDE_INIT_GRACE: 'soon' is not a duration") && !Contains("--grace"));
}

TEST_CASE("what a variable sets wrong is told by its name, with what to write") {
  ::setenv("CLAUDE_INIT_EXEC", "maybe", 1);
  const std::string variable = refused({"run", "true"});
  const auto line = parsed_as<Run>({"run", "--exec", "true"});
  ::unsetenv("CLAUDE_INIT_EXEC");
  CHECK_THAT(variable, Contains("CLAUDE_INIT_EXEC: 'maybe' is not possible; use 1 or 0"));
  CHECK(line.exec);
  CHECK_THAT(refused({"run", "--exec=maybe", "true"}),
             Contains("--exec: 'maybe' is not possible; use 1 or 0"));
  for (const char* yes : {"1", "true", "yes", "on", "TRUE"}) {
    CHECK(parsed_as<Run>({"run", std::string("--exec=") + yes, "true"}).exec);
  }
  CHECK_FALSE(parsed_as<Run>({"run", "--exec=0", "true"}).exec);
}

TEST_CASE("a variable that is nearly one of an option is said, whatever subcommand it is for") {
  const auto warnings = [](const char* variable) {
    const char* const variables[] = {"PATH=/bin", variable, nullptr};
    const auto parsed = parse({"health"}, Environment(variables));
    REQUIRE(std::holds_alternative<CommandLine>(parsed));
    return std::get<CommandLine>(parsed).warnings;
  };
  CHECK(warnings("CLAUDE_INIT_STROE=x") ==
        Words{"nothing reads CLAUDE_INIT_STROE; did you mean CLAUDE_INIT_STORE?"});
  CHECK(warnings("CLAUDE_INIT_LOGLEVEL=debug").front().ends_with("CLAUDE_INIT_LOG_LEVEL?"));
  for (const char* other :
       {"CLAUDE_INIT_STORE=x", "CLAUDE_INIT_LOGIN_COMMAND=x", "CLAUDE_INIT_REMAP_EXIT=1:2",
        "CLAUDE_INIT_FROM=x",
        // What others than we read.
        "CLAUDE_INIT_CHANGE=x", "CLAUDE_INIT_STORE_NAME=x", "CLAUDE_INIT_STATE=x", "CLAUDE_INIT_TEXT=x",
        "CLAUDE_INIT_REMEDY=x", "CLAUDE_INIT_PUBLISHED=x", "CLAUDE_INIT_WEBHOOK_URL=x",
        "CLAUDE_INIT_WEBHOOK_URL_FILE=x", "CLAUDE_INIT_SECRET=x", "CLAUDE_INIT_KUBERNETES_ACCOUNT=x",
        "CLAUDE_INIT_ENGINE=x", "CLAUDE_INIT_ENGINE_ARGS=x", "CLAUDE_INIT_CLI_ENV=x", "CLAUDE_INIT_BINARY=x",
        "CLAUDE_INIT_TEST_LANE=long", "CLAUDE_INIT_E2E_CACHE=x", "CLAUDE_INIT_BENCH_DIR=x"}) {
    INFO(other);
    CHECK(warnings(other).empty());
  }
}

TEST_CASE("health: an age in a variable is for those with --live, and stops no other") {
  ::setenv("CLAUDE_INIT_MAX_AGE", "1h", 1);
  const auto plain = parse_words({"health"});
  const auto live = parsed_as<Health>({"health", "--live"});
  const std::string written = refused({"health", "--max-age", "5m"});
  ::unsetenv("CLAUDE_INIT_MAX_AGE");
  CHECK(std::holds_alternative<CommandLine>(plain));
  CHECK(live.max_age == Milliseconds(3'600'000));
  CHECK_THAT(written, Contains("of --live; add that"));
}

TEST_CASE("a wrong command line is refused with what to write instead") {
  CHECK_THAT(refused({"run", "--stroe", "/s", "cmd"}), Contains("did you mean '--store'?"));
  CHECK_THAT(refused({"run", "--print", "hi"}), Contains("no option '--print'") && Contains("behind '--'"));
  CHECK_THAT(refused({"init"}), Contains("which command?"));
  CHECK_THAT(refused({"health", "now"}), Contains("takes no command"));
  CHECK_THAT(refused({"health", "--stor", "u"}), Contains("no option '--stor'; did you mean '--store'?"));
  CHECK_THAT(refused({"health", "--store", "s", "--jsn", "u"}), Contains("did you mean '--json'?"));
  CHECK_THAT(refused({"capture", "--frm", "x"}), Contains("did you mean '--from'?"));
  CHECK_THAT(refused({"restore", "--too", "x"}), Contains("no option '--too'"));
  CHECK_THAT(refused({"health", "--print", "x"}),
             Contains("no option '--print'") && !Contains("behind '--'"));
  CHECK_THAT(refused({"health", "--store=s", "x"}), Contains("takes no command, but got 'x'"));
  CHECK_THAT(refused({"run", "--grace", "soon", "cmd"}), Contains("500ms, 5s, 2m"));
  CHECK_THAT(refused({"run", "--grace"}), Contains("--grace: it has no value; write --grace TIME"));
  CHECK_THAT(refused({"run", "--store", "/a", "--store", "/b", "true"}),
             Contains("--store: it is given more than once; write it once"));
  CHECK_THAT(refused({"run", "--store=", "true"}), Contains("--store: it has no value; write --store DIR"));
  CHECK_THAT(refused({"run", "--remap-exit", "256:0", "cmd"}), Contains("0 to 255"));
  CHECK_THAT(refused({"run", "--remap-exit", "7", "cmd"}), Contains("write N:M"));
  CHECK_THAT(refused({"run", "--rewrite", "NONSENSE:TERM", "cmd"}), Contains("NONSENSE"));
  CHECK_THAT(refused({"run", "--rewrite", ":TERM", "cmd"}), Contains("is not a signal"));
  CHECK_THAT(refused({"run", "--rewrite", "KILL:TERM", "cmd"}), Contains("KILL never comes to us"));
  CHECK_THAT(refused({"run", "--max-bytes", "0", "cmd"}), Contains("write 1 or more"));
  CHECK_THAT(refused({"health", "--live-timeout", "0"}), Contains("write a time"));
  CHECK_THAT(refused({"run", "--adopt", "cmd"}), Contains("--adopt"));
  CHECK_THAT(refused({"run", "--log-level", "loud", "cmd"}), Contains("error, warn, info, debug, trace"));
  CHECK_THAT(refused({"run", "--copy", "some", "cmd"}), Contains("all or login"));
  CHECK_THAT(refused({}), Contains("Usage: claude-init SUBCOMMAND"));
}

TEST_CASE("help and version are no errors") {
  for (const Words& words :
       {Words{"--help"}, Words{"run", "--help"}, Words{"setup", "-h"}, Words{"--version"}}) {
    const auto result = parse_words(words);
    REQUIRE(std::holds_alternative<Reply>(result));
    CHECK(std::get<Reply>(result).exit_status == 0);
    CHECK_FALSE(std::get<Reply>(result).text.empty());
  }
}

TEST_CASE("a guess is close, or none is made") {
  CHECK(closest("--sotre", {"--store", "--user"}) == "--store");
  CHECK(closest("--x", {"--store", "--user"}).empty());
  CHECK(closest("", {"init"}).empty());
}

TEST_CASE("every login state has the exit status that docs/reference/exit-statuses.md lists") {
  using login::State;
  CHECK(exit_status_of(State::usable) == 0);
  CHECK(exit_status_of(State::renewable) == 0);
  CHECK(exit_status_of(State::expired) == 68);
  CHECK(exit_status_of(State::dead) == 68);
  CHECK(exit_status_of(State::missing) == 67);
  CHECK(exit_status_of(State::empty) == 65);
  CHECK(exit_status_of(State::malformed) == 65);
  CHECK(exit_status_of(State::unreadable) == 77);
  CHECK(exit_status_of(State::no_store) == 66);
  using login::Choice;
  CHECK(exit_status_of(login::Verdict{.choice = Choice::take, .source_state = State::usable}) == 0);
  CHECK(exit_status_of(login::Verdict{.choice = Choice::same, .source_state = State::missing}) == 0);
  CHECK(exit_status_of(login::Verdict{.choice = Choice::keep_store, .source_state = State::usable}) == 76);
  CHECK(exit_status_of(login::Verdict{.choice = Choice::keep_store, .source_state = State::renewable}) == 76);
  CHECK(exit_status_of(login::Verdict{.choice = Choice::keep_store, .source_state = State::dead}) == 68);
  CHECK(exit_status_of(login::Verdict{.choice = Choice::nothing, .source_state = State::empty}) == 65);
}

TEST_CASE("a child's environment is the given one with what was set") {
  const char* const given[] = {"A=1", "AB=2", "C", nullptr};
  Environment environment(given);
  CHECK(environment.get("A") == "1");
  CHECK_FALSE(environment.has("B"));
  environment.set("A", "3");
  environment.unset("AB");
  CHECK(environment.get("A") == "3");
  CHECK(environment.variables() == Words{"C", "A=3"});
}

TEST_CASE("renewal is on by default, with the official command; the command is split at blanks") {
  const auto by_default = parsed_as<Setup>({"setup"}).renewal;
  CHECK_FALSE(by_default.never);
  CHECK(by_default.before == Milliseconds(45 * 60'000));
  CHECK(by_default.command == cli::renewing_command());
  const auto chosen =
      parsed_as<Run>({"run", "--renew=never", "--renew-before", "10m", "--renew-command", " a  b "}).renewal;
  CHECK(chosen.never);
  CHECK(chosen.before == Milliseconds(600'000));
  CHECK(chosen.command == Words{"a", "b"});
  CHECK_THAT(refused({"run", "--renew-command", " "}), Contains("--renew=never"));
  CHECK_THAT(refused({"run", "--renew-command", "A=b"}), Contains("no command"));
  CHECK(parsed_as<Renew>({"renew", "--force"}).force);
  CHECK(parsed_as<Renew>({"renew"}).renewal.command == cli::renewing_command());
  CHECK_THAT(refused({"renew", "--renew-command", ""}), Contains("leave it out"));
  CHECK_THAT(refused({"run", "--renew=yes"}), Contains("write auto or never"));
}
