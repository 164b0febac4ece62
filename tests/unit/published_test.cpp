#include "store/published.h"

#include <catch2/catch.hpp>

#include "login/placeholder.h"
#include "state_helpers.h"
#include "store/inspect.h"
#include "sync/publish.h"

using namespace claude_init;
using test::FakeLogin;
using test::TempDir;

namespace {

struct Stores {
  Stores() {
    dir.dir("store", 0700);
    dir.file("store/.credentials.json", FakeLogin{}.text(), 0600);
  }
  Result<store::Store> publish(const std::string& name) {
    return sync::open_published(dir.path(name), test::open_store(dir.path("store")));
  }
  TempDir dir;
};

}  // namespace

TEST_CASE("a directory that is missing is made, and marked as a published store") {
  Stores stores;
  CHECK_FALSE(store::is_published(test::open_store(stores.dir.path("store"))));
  const auto published = stores.publish("new");
  REQUIRE(published.ok());
  CHECK(store::is_published(*published));
  CHECK(stores.dir.mode("new") == 0700);
  for (const char* name : {"locks", "id", "present"})
    CHECK_FALSE(stores.dir.exists(std::string("new/.claude-init/") + name));
  CHECK(stores.publish("new").ok());
}

TEST_CASE("a copy of the store loses its refresh tokens, all of them") {
  Stores stores;
  stores.dir.dir("copy", 0700);
  stores.dir.file("copy/.credentials.json", FakeLogin{}.text(), 0600);
  stores.dir.file("copy/.credentials.json.tmp.abcdefgh", FakeLogin{}.text(), 0600);
  stores.dir.dir("copy/.claude-init", 0700);
  for (const std::string name : {"generations", "renewal", "stage"}) {
    stores.dir.dir("copy/.claude-init/" + name, 0700);
    stores.dir.file("copy/.claude-init/" + name + "/.credentials.json", FakeLogin{}.text(), 0600);
  }
  REQUIRE(stores.publish("copy").ok());
  CHECK(stores.dir.read("copy/.credentials.json").find("FAKE-refresh") == std::string::npos);
  CHECK(stores.dir.read("copy/.credentials.json").find("FAKE-access-1") != std::string::npos);
  CHECK_FALSE(stores.dir.exists("copy/.credentials.json.tmp.abcdefgh"));
  for (const std::string name : {"generations", "renewal", "stage"}) {
    CHECK_FALSE(stores.dir.exists("copy/.claude-init/" + name + "/.credentials.json"));
  }
}

TEST_CASE("a store that an earlier version has published loses the secrets that it left there") {
  Stores stores;
  REQUIRE(stores.publish("old").ok());
  stores.dir.file("old/.claude-init/published", "This store has no refresh token.\n", 0600);
  stores.dir.dir("old/projects", 0700);
  stores.dir.dir("old/projects/x", 0700);
  const std::string copy = R"({"refreshToken": "FAKE-secret"})";
  for (const char* name :
       {"old/.credentials.json.bak", "old/projects/x/.credentials.json", "old/projects/x/notes"})
    stores.dir.file(name, copy, 0600);
  REQUIRE(stores.publish("old").ok());
  CHECK_FALSE(stores.dir.exists("old/.credentials.json.bak"));
  CHECK_FALSE(stores.dir.exists("old/projects/x/.credentials.json"));
  CHECK(stores.dir.read("old/projects/x/notes") == R"({"refreshToken": "xxxxxxxxxxx"})");
  CHECK(stores.dir.read("old/.claude-init/published") != "This store has no refresh token.\n");
}

TEST_CASE("a published store becomes one without any token") {
  Stores stores;
  REQUIRE(stores.publish("jobs").ok());
  stores.dir.file("jobs/.credentials.json", FakeLogin{.refresh = ""}.text(), 0600);
  stores.dir.file("jobs/notes", R"({"accessToken": "FAKE-access-1", "key": "sk-ant-api03-FAKE"})", 0600);
  const auto published =
      sync::open_published(stores.dir.path("jobs"), test::open_store(stores.dir.path("store")),
                           {.withheld = login::Withheld::all_tokens});
  REQUIRE(published.ok());
  CHECK(stores.dir.read("jobs/notes").find("FAKE") == std::string::npos);
  std::string login = stores.dir.read("jobs/.credentials.json");
  const std::string placeholder(login::kPlaceholder);
  REQUIRE(login.find(placeholder) != std::string::npos);
  login.erase(login.find(placeholder), placeholder.size());
  CHECK(login.find("FAKE") == std::string::npos);
  const store::Inspection seen = store::inspect(stores.dir.path("jobs"), unix_now());
  CHECK(seen.state == login::State::usable);
  CHECK(seen.placeholder);
  CHECK(seen.published);
  CHECK_FALSE(store::inspect(stores.dir.path("store"), unix_now()).placeholder);
}

TEST_CASE("a login of its own is not ended, unless it has ended already or the directory is marked") {
  Stores stores;
  const FakeLogin own{"FAKE-access-own", "FAKE-refresh-own"};
  stores.dir.dir("own", 0700);
  stores.dir.file("own/.credentials.json", own.text(), 0600);
  CHECK(stores.publish("own").error().kind == ErrorKind::invalid);
  CHECK(stores.dir.read("own/.credentials.json").find("FAKE-refresh-own") != std::string::npos);
  stores.dir.file("own/.credentials.json", "", 0600);
  REQUIRE(stores.publish("own").ok());
  stores.dir.file("own/.credentials.json", own.text(), 0600);
  REQUIRE(stores.publish("own").ok());
  CHECK(stores.dir.read("own/.credentials.json").find("FAKE-refresh") == std::string::npos);
}

TEST_CASE("the store, what lies in it and what it lies in are no place to publish it") {
  Stores stores;
  stores.dir.dir("store/inside", 0700);
  stores.dir.link("link", "store");
  for (const char* name : {"store", "store/inside", "link", "."}) {
    CHECK(stores.publish(name).error().kind == ErrorKind::usage);
  }
  CHECK(stores.dir.read("store/.credentials.json").find("FAKE-refresh-1") != std::string::npos);
}

TEST_CASE("who waits at a published store finds why nothing comes, and that is taken away again") {
  Stores stores;
  const std::string directory = stores.dir.path("published");
  CHECK(store::word_left(directory).empty());
  CHECK(store::inspect(directory, 0).unpublished.empty());
  store::leave_word(directory, "it is another user's\nchown it\n", fs::current_identity());
  CHECK(store::inspect(directory, 0).unpublished == "it is another user's\nchown it\n");
  CHECK(stores.dir.mode("published.unpublished") == 0644);
  store::leave_word(directory, "", fs::current_identity());
  CHECK(store::word_left(directory).empty());
}

TEST_CASE("a word that is no file, or longer than any, is none") {
  Stores stores;
  stores.dir.file("word", "x", 0600);
  stores.dir.link("a.unpublished", "word");
  CHECK(store::word_left(stores.dir.path("a")).empty());
  stores.dir.file("b.unpublished", std::string(5000, 'x'), 0600);
  CHECK(store::word_left(stores.dir.path("b")).empty());
}
