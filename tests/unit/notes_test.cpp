#include "health/notes.h"

#include <catch2/catch.hpp>

#include "store/inspect.h"

using namespace claude_init;
using namespace claude_init::health;
using Catch::Matchers::Contains;
using login::State;

namespace {

constexpr UnixMs kNow = 1'795'468'330'000;  // 2026-11-23 21:12:10 UTC

Context context() {
  Context context;
  context.now = kNow;
  context.setup_command = "docker run -it --rm claude-setup";
  return context;
}

store::Inspection usable() {
  store::Inspection out;
  out.state = State::usable;
  out.path = "/claude-auth";
  out.file_mode = 0600;
  out.file_modified = kNow - kHour;
  out.login = login::Login{};
  out.login->has_access_token = out.login->has_refresh_token = true;
  out.login->expires_at = kNow + 7 * kHour;
  return out;
}

/// The only note; "" if there is none.
std::string note(const store::Inspection& inspection, const Context& context) {
  const auto notes = notes_on(inspection, context);
  REQUIRE(notes.size() <= 1);
  return notes.empty() ? "" : notes.front();
}

}  // namespace

TEST_CASE("nothing is noted of a login that is as it should be", "[notes]") {
  CHECK(notes_on(usable(), context()).empty());
  CHECK(notes_on(store::Inspection{}, context()).empty());
}

TEST_CASE("what hides the login or exposes it is noted", "[notes]") {
  Context with = context();
  with.shadowing = {"ANTHROPIC_API_KEY"};
  CHECK_THAT(note(usable(), with), Contains("ANTHROPIC_API_KEY is set") && Contains("unset it"));

  auto open = usable();
  open.file_mode = 0100644;
  CHECK(note(open, context()).empty());  // behind a directory that bars everybody
  open.open_to_all = true;
  CHECK_THAT(note(open, context()), Contains("mode 0644"));
  open.read_only = true;
  CHECK(note(open, context()).empty());

  with = context();
  with.exposed_to = "node";
  CHECK_THAT(note(usable(), with), Contains("node, the command's user, can read the refresh token") &&
                                       !Contains("let root own"));
  with.can_be_hidden = true;
  CHECK_THAT(note(usable(), with), Contains("or let root own the store's files"));
}

TEST_CASE("a base URL over plain http is noted without what may be secret in it", "[notes]") {
  const auto of = [](const char* url) {
    Context with = context();
    with.base_url = url;
    return note(usable(), with);
  };
  CHECK_THAT(of("http://user:FAKE@proxy.example:8080/FAKE?FAKE#FAKE"),
             Contains("plain http (proxy.example:8080): everyone on the way") && !Contains("FAKE"));
  CHECK_THAT(of("HTTP://10.0.0.1"), Contains("(10.0.0.1)"));
  CHECK_THAT(of("http://127.example"), Contains("(127.example)"));
  CHECK_THAT(of("http://[2001:db8::1]:1/"), Contains("([2001:db8::1]:1)"));
  for (const char* url : {"", "https://proxy.example", "http://localhost", "http://localhost:4000/v1",
                          "http://127.0.0.1:4000", "http://[::1]:4000", "http://", "proxy.example"}) {
    CHECK(of(url).empty());
  }
}

TEST_CASE("a clock that is wrong is noted by what was written, or ends, too far ahead", "[notes]") {
  auto written = usable();
  written.file_modified = kNow + 5 * 60'000;  // a file server's clock
  CHECK(note(written, context()).empty());
  written.file_modified = kNow + 11 * 60'000;
  CHECK_THAT(
      note(written, context()),
      Contains(
          "the clock is wrong: it says 2026-11-23 21:12 UTC, and the login was written 2026-11-23 21:23"));
  auto ends = usable();
  ends.login->expires_at = kNow + 365 * 24 * kHour;  // claude setup-token
  CHECK(note(ends, context()).empty());
  ends.login->expires_at = kNow + 401 * 24 * kHour;
  CHECK_THAT(note(ends, context()), Contains("the access token expires 2027-12-29"));
}

TEST_CASE("a place that does not keep a login is noted", "[notes]") {
  Context with = context();
  with.in_image = true;
  CHECK_THAT(note(usable(), with), Contains("part of the image") && Contains("-v HOST_DIR:/claude-auth"));
  auto none = store::Inspection{};
  none.state = State::missing;
  CHECK(note(none, with).empty());  // that is the state's own explanation
  with = context();
  with.file_mounted = true;
  CHECK_THAT(note(usable(), with), Contains("/claude-auth/.credentials.json is mounted by itself"));
}

TEST_CASE("an end that comes soon is noted, of a login that lives", "[notes]") {
  auto ends = usable();
  ends.login->refresh_expires_at = kNow + 72 * kHour;
  CHECK(note(ends, context()).empty());
  ends.login->refresh_expires_at = kNow + 72 * kHour - 60'000;
  CHECK_THAT(note(ends, context()), Contains("the login expires in 2 d 23 h: log in again: docker run"));
  ends.login->refresh_expires_at = kNow - 1;
  CHECK_THAT(note(ends, context()), Contains("the login has expired"));
  ends.state = State::expired;
  CHECK(note(ends, context()).empty());

  auto rejected = usable();
  rejected.renewal_rejected = true;
  CHECK_THAT(note(rejected, context()), Contains("does not renew this login any more"));
}
