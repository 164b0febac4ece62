#include "health/health.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "store/inspect.h"

using namespace claude_init;
using namespace claude_init::health;
using login::State;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;  // 2026-11-23 21:12:10 UTC

Context context() {
  Context context;
  context.now = kNow;
  context.in_container = true;
  context.reader = {1000, 1000};
  context.setup_command = "docker run -it --rm claude-setup";
  return context;
}

store::Inspection inspection(State state) {
  store::Inspection out;
  out.state = state;
  out.path = "/claude-auth";
  out.owner = out.file_owner = {1000, 1000};
  out.mode = 040700;
  return out;
}

store::Inspection logged_in(State state, UnixMs expires_at) {
  store::Inspection out = inspection(state);
  out.email = "a@example.org";
  out.file_mode = 0600;
  out.login = login::Login{};
  out.login->has_access_token = true;
  out.login->has_refresh_token = true;
  out.login->expires_at = expires_at;
  out.login->refresh_expires_at = kNow + 27 * kDay + 3 * kHour;
  out.login->scopes = {"user:inference"};
  out.login->subscription = "max";
  return out;
}

/// One inspection for each state, as the store gives it.
std::vector<store::Inspection> all() {
  std::vector<store::Inspection> out{logged_in(State::usable, kNow + 8 * kHour),
                                     logged_in(State::renewable, kNow - kHour),
                                     logged_in(State::expired, kNow - kHour), inspection(State::dead)};
  for (const State state :
       {State::missing, State::empty, State::malformed, State::unreadable, State::no_store}) {
    out.push_back(inspection(state));
  }
  return out;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every state is the first word, and all but the good ones say what to do") {
  for (const auto& inspection : all()) {
    const Explanation words = explain(inspection, context());
    INFO(words.headline);
    CHECK(words.headline.starts_with(std::string(login::name_of(inspection.state)) + ": "));
    CHECK_FALSE(words.meaning.empty());
    CHECK(words.remedies.empty() == (inspection.state == State::usable));
    CHECK(words.notes.empty());
    const std::string text = as_text(inspection, context());
    CHECK(text.starts_with(words.headline + '\n'));
    if (!words.remedies.empty()) CHECK(contains(text, "→ " + words.remedies.front()));
  }
}

TEST_CASE("both deadlines are told, and the access token's is no alarm") {
  const Explanation words = explain(logged_in(State::usable, kNow + 8 * kHour), context());
  CHECK(words.headline == "usable: logged in, a@example.org (max)");
  CHECK(contains(words.meaning, "access token is valid until 2026-11-24 05:12 UTC (in 8 h)"));
  CHECK(contains(words.meaning, "The login itself expires 2026-12-21 00:12 UTC (in 27 d 3 h)."));
  const Explanation later = explain(logged_in(State::renewable, kNow - kHour), context());
  CHECK(contains(later.meaning, "2026-11-23 20:12 UTC (1 h ago)"));
  CHECK(contains(later.meaning, "in 27 d 3 h"));
}

TEST_CASE("a login that expired says which of its ends it was") {
  auto expired = logged_in(State::expired, kNow - kHour);
  expired.login->refresh_expires_at = kNow - kDay;
  CHECK(contains(explain(expired, context()).headline, "the login itself has expired"));
  CHECK(contains(explain(expired, context()).meaning, "(1 d ago)"));
  expired.login->refresh_expires_at.reset();
  expired.login->has_refresh_token = false;
  CHECK(contains(explain(expired, context()).meaning, "no refresh token"));
  expired.login->scopes.clear();
  CHECK(contains(explain(expired, context()).meaning, "without scopes"));
}

TEST_CASE("a login that the server rejects after its own end has ended, and nobody is to blame") {
  auto dead = logged_in(State::dead, kNow - kHour);
  CHECK(contains(explain(dead, context()).meaning, "ended elsewhere"));
  dead.login->refresh_expires_at = kNow - kDay;
  const Explanation words = explain(dead, context());
  CHECK(words.headline == "dead: the login has expired");
  CHECK(contains(words.meaning, "Each login expires after about four weeks: nothing is broken."));
  CHECK(words.remedies.size() == 1);
}

TEST_CASE("a mount point that the engine made is explained") {
  auto made = inspection(State::missing);
  made.empty_directory = true;
  made.owner = {0, 0};
  const Explanation words = explain(made, context());
  CHECK(contains(words.meaning, "the engine makes such a directory"));
  CHECK(contains(words.remedies.front(), "-v HOST_DIR:/claude-auth"));
  made.owner = {1000, 1000};
  CHECK_FALSE(contains(explain(made, context()).meaning, "engine"));
  made.owner = {0, 0};
  Context host = context();
  host.in_container = false;
  CHECK_FALSE(contains(explain(made, host).meaning, "engine"));
}

TEST_CASE("of a directory that nothing is mounted at one thing is said") {
  auto made = inspection(State::missing);
  made.empty_directory = true;
  made.owner = {0, 0};
  Context with = context();
  with.in_image = true;
  const Explanation words = explain(made, with);
  CHECK(contains(words.meaning, "Nothing is mounted at /claude-auth"));
  CHECK(contains(words.remedies.front(), "-v HOST_DIR:/claude-auth"));
  CHECK_FALSE(contains(as_text(words), "the mount is wrong"));
  CHECK(words.notes.empty());
  made.login = login::Login{};  // `{}`: there is a file, of which the note tells where it lies
  CHECK(explain(made, with).notes.size() == 1);
}

TEST_CASE("of a store without any token it is said that its token is a placeholder") {
  store::Inspection jobs = logged_in(State::usable, kNow + 8 * kHour);
  jobs.login->has_refresh_token = false;
  CHECK(as_text(jobs, context()).find("placeholder") == std::string::npos);
  CHECK_FALSE(nlohmann::json::parse(as_json(jobs, context())).contains("placeholder"));
  jobs.placeholder = jobs.published = true;
  CHECK(as_text(jobs, context()).find("has a placeholder instead: the gateway puts") != std::string::npos);
  CHECK(nlohmann::json::parse(as_json(jobs, context()))["placeholder"] == true);
}

TEST_CASE("of a published store it is said where a login is made, which is not there") {
  Context host = context();
  host.in_container = false;
  host.setup_command = "claude-init setup --store /pub";
  auto expired = logged_in(State::expired, kNow - kHour);
  expired.login->has_refresh_token = false;
  for (auto published : {inspection(State::missing), inspection(State::empty), expired}) {
    published.published = true;
    const std::string text = as_text(published, host);
    INFO(text);
    CHECK(contains(text, "this is a published copy: log in where the keeper runs"));
    CHECK_FALSE(contains(text, "--store /pub"));
    host.told_setup_command = true;  // by whoever knows that store
    CHECK(contains(as_text(published, host), "claude-init setup --store /pub"));
    host.told_setup_command = false;
  }
}

TEST_CASE("an empty login has the same causes wherever it is met") {
  CHECK(contains(explain(inspection(State::empty), context()).meaning, kWhyEmpty));
}

TEST_CASE("a file mounted in a store's place is told from no mount at all") {
  auto file = inspection(State::no_store);
  file.is_directory = false;
  CHECK(contains(explain(file, context()).headline, "is not a directory"));
  CHECK(contains(explain(inspection(State::no_store), context()).headline, "there is no /claude-auth"));
}

TEST_CASE("a permission error names owner, mode and us, and what of it to change") {
  auto foreign = inspection(State::unreadable);
  foreign.owner = foreign.file_owner = {1001, 1001};
  foreign.file_mode = 0100600;
  const Explanation words = explain(foreign, context());
  CHECK(contains(words.meaning,
                 "/claude-auth/.credentials.json belongs to 1001:1001 with mode 0600, and claude-init runs "
                 "as 1000:1000"));
  CHECK(contains(words.meaning, "uid 1001 would be right"));
  CHECK(contains(as_text(words), "docker run --user 1001:1001"));
  CHECK(contains(as_text(words), "chown -R 1000:1000 HOST_DIR"));

  Context root = context();
  root.reader = {0, 0};
  CHECK(contains(explain(foreign, root).remedies.front(), "--cap-add SETUID"));

  // The directory is ours: it is the file that is wrong, and nobody is to become its owner.
  foreign.owner = {1000, 1000};
  CHECK(contains(as_text(foreign, context()), "should belong to its owner, uid 1000"));
  CHECK_FALSE(contains(as_text(foreign, context()), "--user"));

  foreign.file_owner = {1000, 1000};
  CHECK(contains(as_text(foreign, context()), "SELinux"));
  Context host = context();
  host.in_container = false;
  CHECK(contains(as_text(foreign, host), "ls -laZ /claude-auth"));
  CHECK_FALSE(contains(as_text(foreign, host), "-v HOST_DIR"));
}

TEST_CASE("of what is ours it is the mode that bars us, of the file or of the directory") {
  Context host = context();
  host.in_container = false;
  auto ours = inspection(State::unreadable);
  ours.file_mode = 0100000;
  CHECK(contains(as_text(ours, host), "/.credentials.json belongs to 1000:1000 with mode 0000"));
  CHECK(contains(as_text(ours, host), "→ chmod -R u+rwX /claude-auth\n"));
  CHECK(contains(as_text(ours, context()), "→ on the host: sudo chmod -R u+rwX HOST_DIR\n"));
  ours.file_mode = 0;  // behind that of the directory it cannot be looked at
  for (const unsigned mode : {040600u, 040000u, 040300u}) {
    ours.mode = mode;
    CHECK(contains(as_text(ours, host), "does not let its owner look into it"));
    CHECK(contains(as_text(ours, host), "→ chmod -R u+rwX /claude-auth\n"));
    CHECK_FALSE(contains(as_text(ours, host), "SELinux"));
  }
  ours.mode = 040500;
  CHECK(contains(as_text(ours, host), "SELinux"));
}

TEST_CASE("behind a directory that may not be entered nothing is said about the store's owner") {
  auto behind = inspection(State::unreadable);
  behind.mode = 0;
  behind.owner = {};
  behind.barred_by = "/root";
  Context host = context();
  host.in_container = false;
  CHECK(contains(as_text(behind, host), "/root may not be entered by 1000:1000"));
  CHECK(contains(as_text(behind, host), "sudo chmod a+x /root\n"));
  CHECK_FALSE(contains(as_text(behind, host), "belongs to"));
  CHECK_FALSE(contains(as_text(behind, context()), "chown"));
  behind.barred_by.clear();
  CHECK(contains(as_text(behind, host), "a link on the way"));
}

TEST_CASE("on a host nobody is told to start a container as somebody else") {
  auto foreign = inspection(State::unreadable);
  foreign.owner = {0, 0};
  Context host = context();
  host.in_container = false;
  for (const fs::Identity reader : {fs::Identity{1000, 1000}, fs::Identity{0, 0}}) {
    host.reader = reader;
    foreign.owner.uid = 1234;
    CHECK_FALSE(contains(as_text(foreign, host), "docker run --user"));
    CHECK_FALSE(contains(as_text(foreign, host), "--cap-add"));
    CHECK(contains(as_text(foreign, host), "sudo chown -R"));
  }
}

TEST_CASE("what came of trying it is told, and one without an answer is not healthy") {
  auto seen = logged_in(State::usable, kNow + kHour);
  Context with = context();
  CHECK(is_healthy(seen, with));
  with.live = Live{kNow - 1000, true, false, ""};
  CHECK(is_healthy(seen, with));
  CHECK(contains(explain(seen, with).meaning, "The server answered the CLI just now."));
  with.live = Live{kNow - 3 * 60'000, false, false, "it ended with status 1: no\x1b way"};
  CHECK_FALSE(is_healthy(seen, with));
  const Explanation words = explain(seen, with);
  CHECK(words.headline == "usable: logged in, a@example.org (max); but the CLI got no answer");
  CHECK(contains(words.meaning, "3 min ago: it ended with status 1: no"));
  CHECK_FALSE(contains(as_text(words), "\x1b"));
  CHECK(contains(words.remedies.front(), "claude-init run --store /claude-auth -- claude --print hi"));
  const auto json = nlohmann::json::parse(as_json(seen, with), nullptr, false);
  CHECK(json["live"]["works"] == false);
  CHECK(json["live"]["age_seconds"] == 180);
  CHECK(json["healthy"] == false);

  with.live->executed = false;
  CHECK(explain(seen, with).headline.ends_with("; but the CLI could not be run"));
  CHECK(contains(as_text(seen, with), "--live-command"));
  CHECK_FALSE(contains(as_text(seen, with), "proxy"));
  with.live->executed = true;

  with.live->rejected = true;
  seen.state = State::dead;
  CHECK(explain(seen, with).headline == "dead: the server no longer accepts this login");
  CHECK(contains(explain(seen, with).meaning, "should still be valid, and the CLI was refused with it"));
  CHECK(explain(seen, with).remedies.front().starts_with("log in again: "));
}

TEST_CASE("a copy that nobody renews is noted where there is something to renew, and told what to type") {
  Context copied = context();
  copied.copied = make_error(ErrorKind::usage, "it is a copy", "adopt it");
  auto seen = logged_in(State::usable, kNow + kHour);
  const auto usual = explain(seen, context()).notes;
  auto noted = explain(seen, copied).notes;
  CHECK(std::erase(noted, "this login is not renewed: it is a copy; adopt it") == 1);
  CHECK(noted == usual);
  seen.state = State::renewable;
  CHECK(explain(seen, copied).remedies == std::vector<std::string>{"adopt it"});
  seen.login->has_refresh_token = false;
  seen.state = State::usable;
  CHECK(explain(seen, copied).notes == explain(seen, context()).notes);
}

TEST_CASE("what is no file in the login's place is to be moved away") {
  auto directory = inspection(State::malformed);
  directory.in_the_way = true;
  CHECK(contains(as_text(directory, context()), "mv "));
  CHECK_FALSE(contains(as_text(directory, context()), "bring back a whole copy"));
  Context in_container = context();
  in_container.in_container = true;
  CHECK(contains(as_text(directory, in_container), "on the host: mv HOST_DIR/.credentials.json "));
  in_container.file_mounted = true;
  CHECK(contains(as_text(directory, in_container), "mount the whole directory: -v HOST_DIR:"));
}

TEST_CASE("foreign text cannot take over the terminal") {
  auto hostile = logged_in(State::usable, kNow + kHour);
  hostile.email = "a\x1b[2J@example.org\n";
  hostile.login->subscription = "\x1b]0;x\x07";
  hostile.path = "/st\x1bore";
  CHECK_FALSE(contains(as_text(hostile, context()), "\x1b"));
  auto malformed = inspection(State::malformed);
  malformed.path = "/st\x1bore";
  CHECK_FALSE(contains(as_text(malformed, context()), "\x1b"));
}

TEST_CASE("the JSON says the same to a machine") {
  for (const auto& inspection : all()) {
    const std::string text = as_json(inspection, context());
    CHECK(text.find('\n') == text.size() - 1);
    const auto json = nlohmann::json::parse(text, nullptr, false);
    REQUIRE(json.is_object());
    CHECK(json["state"] == login::name_of(inspection.state));
    CHECK(json["healthy"] == (inspection.state == State::usable));
    CHECK(json["remedies"].is_array());
  }
  const auto json =
      nlohmann::json::parse(as_json(logged_in(State::renewable, kNow - kHour), context()), nullptr, false);
  CHECK(json["access_token"]["expires_at"] == "2026-11-23T20:12:10Z");
  CHECK(json["access_token"]["expires_in_seconds"] == -3600);
  CHECK(json["login"]["expires_in_seconds"] == (27 * kDay + 3 * kHour) / 1000);
  CHECK(json["has_refresh_token"] == true);
  auto bytes = inspection(State::missing);
  bytes.path = "/st\xffore";
  CHECK(nlohmann::json::parse(as_json(bytes, context()), nullptr, false).is_object());
}

TEST_CASE("a renewable login is of use only where the refresh token is handed on, so it is not healthy") {
  CHECK(is_healthy(State::usable));
  CHECK_FALSE(is_healthy(State::renewable));
  CHECK_FALSE(is_healthy(State::expired));
  CHECK(can_be_used(State::usable, false));
  CHECK_FALSE(can_be_used(State::renewable, false));
  CHECK(can_be_used(State::renewable, true));
  CHECK_FALSE(can_be_used(State::dead, true));
}

TEST_CASE("who waits where a keeper cannot publish is told that, not that there is no login") {
  store::Inspection waiting = inspection(State::missing);
  waiting.published = true;
  waiting.unpublished = "/published cannot be written: it is another user's\ndocker compose run chown\n";
  const Explanation words = explain(waiting, context());
  CHECK(words.headline == "missing: the login is not published to here");
  CHECK(contains(words.meaning, "it is another user's."));
  CHECK(words.remedies == std::vector<std::string>{"docker compose run chown"});
  waiting.unpublished = "full\n";
  CHECK(contains(as_text(waiting, context()), "see what the keeper says of it"));
}

TEST_CASE("several containers share a store, so SELinux's label is the shared one") {
  store::Inspection barred = inspection(State::unreadable);
  barred.file_mode = 0100600;
  CHECK(contains(as_text(barred, context()), "-v HOST_DIR:/claude-auth:z)"));
}
