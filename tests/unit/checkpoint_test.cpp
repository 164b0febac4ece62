#include "follow/checkpoint.h"

#include <catch2/catch.hpp>
#include <cstdio>

#include "loop.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::follow;
using namespace claude_init::loop;
using test::run_for;
using test::run_until;
using test::TempDir;

namespace {

struct Session {
  explicit Session(Milliseconds settle = Milliseconds(50)) {
    dir.dir("home");
    dir.dir("home/.claude");
    Checkpoint::Options options;
    options.state = store::state_in_home(dir.path("home"));
    options.who = fs::current_identity();
    options.settle = settle;
    options.save_login = [this] {
      ++saves;
      seen = dir.read("home/.claude/.credentials.json");
      return outcome;
    };
    checkpoint.emplace(io, inotify, std::move(options));
    checkpoint->start();
    REQUIRE(run_until(io, [this] { return saves == 1; }));
  }
  void replace(const std::string& name, const std::string& text) const {
    dir.file("new", text);
    REQUIRE(std::rename(dir.path("new").c_str(), dir.path("home/" + name).c_str()) == 0);
  }
  TempDir dir;
  boost::asio::io_context io{1};
  Inotify inotify{io};
  int saves = 0;
  std::string seen;
  Checkpoint::Saved outcome = Checkpoint::Saved::done;
  std::optional<Checkpoint> checkpoint;
};

}  // namespace

TEST_CASE("a login is saved when it is written, and so is what lies beside the configuration directory") {
  Session session;
  session.replace(".claude/.credentials.json", "1");
  REQUIRE(run_until(session.io, [&] { return session.seen == "1"; }));
  const int saves = session.saves;
  session.replace(".claude.json", "{}");
  REQUIRE(run_until(session.io, [&] { return session.saves > saves; }));
  const int then = session.saves;
  session.replace(".claude/settings.json", "{}");
  session.replace("notes", "");
  run_for(session.io, Milliseconds(20'000));
  CHECK(session.saves == then);
}

TEST_CASE("a login that is replaced again and again is saved within the maximum wait, and its last version") {
  Session session;
  int version = 0;
  const SteadyTime start = std::chrono::steady_clock::now();
  REQUIRE(run_until(session.io, [&] {
    session.replace(".claude/.credentials.json", std::to_string(++version));
    return session.saves > 2;
  }));
  CHECK(std::chrono::steady_clock::now() - start < Milliseconds(2 * 1000));  // each within a second
  CHECK(run_until(session.io, [&] { return session.seen == std::to_string(version); }));
}

TEST_CASE("a saving that was not done is asked for again") {
  Session session;
  session.outcome = Checkpoint::Saved::not_all;
  session.replace(".claude/.credentials.json", "1");
  REQUIRE(run_until(session.io, [&] { return session.saves > 3; }));
  session.outcome = Checkpoint::Saved::done;
  const int saves = session.saves;
  REQUIRE(run_until(session.io, [&] { return session.saves > saves; }));
  run_for(session.io, Milliseconds(20'000));
  CHECK(session.saves == saves + 1);
}

TEST_CASE("a saving that has to wait for others is tried a few times a second") {
  Session session(Milliseconds(0));
  session.outcome = Checkpoint::Saved::not_all;
  session.replace(".claude/.credentials.json", "1");
  REQUIRE(run_until(session.io, [&] { return session.saves > 1; }));
  const int saves = session.saves;
  run_for(session.io, Milliseconds(10'000));
  CHECK(session.saves - saves <= 51);  // each 200 ms
  CHECK(session.saves - saves >= 10);
}

TEST_CASE("a configuration directory that is moved away and made again is followed") {
  Session session;
  REQUIRE(std::rename(session.dir.path("home/.claude").c_str(), session.dir.path("old").c_str()) == 0);
  session.dir.dir("home/.claude");
  session.replace(".claude/.credentials.json", "2");
  CHECK(run_until(session.io, [&] { return session.seen == "2"; }));
  session.replace(".claude/.credentials.json", "3");
  CHECK(run_until(session.io, [&] { return session.seen == "3"; }));
}
