#include "follow/publisher.h"

#include <catch2/catch.hpp>
#include <cstdio>

#include "loop.h"
#include "state_helpers.h"
#include "store/published.h"
#include "sync/publish.h"

using namespace claude_init;
using test::FakeLogin;
using test::run_until;
using test::TempDir;

namespace {

store::Store published(const TempDir& dir) {
  auto opened = sync::open_published(dir.path("published"), test::open_store(dir.path("store")));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

}  // namespace

TEST_CASE("a publisher publishes what there is and what comes, without refresh token") {
  const TempDir dir;
  dir.dir("store", 0700);
  dir.file("store/.credentials.json", FakeLogin{}.text(), 0600);
  dir.file("store/settings.json", "{}", 0600);
  boost::asio::io_context io(1);
  loop::Inotify inotify(io);
  follow::Publisher publisher(io, inotify, {dir.path("store"), published(dir)});
  REQUIRE(publisher.start().ok());
  const auto has = [&](const char* token) {
    return dir.read("published/.credentials.json").find(token) != std::string::npos;
  };
  CHECK(has("FAKE-access-1"));
  CHECK(dir.exists("published/settings.json"));
  const FakeLogin next{"FAKE-access-2", "FAKE-refresh-2", "account-2", 7'200'000};
  dir.file("new", next.text(), 0600);
  REQUIRE(std::rename(dir.path("new").c_str(), dir.path("store/.credentials.json").c_str()) == 0);
  CHECK(run_until(io, [&] { return has("FAKE-access-2"); }));
  CHECK_FALSE(has("FAKE-refresh"));
  dir.file("store/later", "1", 0600);
  REQUIRE(publisher.finish({}).ok());
  CHECK(dir.read("published/later") == "1");
}
