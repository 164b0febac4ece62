#include "keep/hook.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "loop.h"
#include "signals_taken.h"
#include "temp_dir.h"

using namespace claude_init;
using namespace claude_init::keep;

namespace {

constexpr Milliseconds kSoon{1};

class HookTest {
 public:
  Hook& hook(const std::string& command, Hook::Times times) {
    return hook_.emplace(io_, signals_.inherited, reaper_, command,
                         std::vector<std::string>{"PATH=/usr/bin:/bin", "D=" + dir.path()}, times);
  }
  static Hook::Call call(std::string text = "the login is dead", std::string remedy = "log in") {
    Hook::Call call;
    call.store = "dev";
    call.event.change = Change::dead;
    call.event.text = std::move(text);
    call.event.remedy = std::move(remedy);
    return call;
  }
  /// Time passes only while the hook does not run.
  bool comes_to(const std::function<bool()>& done) {
    return test::really([&] {
      static_cast<void>(reaper_.reap());
      test::settle(io_);
      if (done()) return true;
      for (int ms = 0; ms < 100'000 && reaper_.watched().empty(); ++ms) pass(Milliseconds(1));
      return false;
    });
  }
  void pass(Milliseconds time) {
    test::let_pass(time);
    test::settle(io_);
  }
  /// No call is running, and none comes of itself.
  bool is_at_rest() {
    if (!comes_to([&] { return reaper_.watched().empty(); })) return false;
    pass(Milliseconds(kHour));
    return reaper_.watched().empty();
  }

  test::TempDir dir;

 private:
  SignalsTaken signals_;
  boost::asio::io_context io_{1};
  loop::Reaper reaper_;
  std::optional<Hook> hook_;
};

}  // namespace

TEST_CASE_METHOD(HookTest, "a hook whose time is over is killed and counted, and called until it works",
                 "[keep]") {
  // Six times, which is more often than one that fails is called.
  Hook& hook = this->hook(R"(echo >> "$D/calls"; [ $(wc -l < "$D/calls") -gt 6 ] || exec sleep 60)",
                          {Milliseconds(300), {kSoon, kSoon, kSoon}});
  hook.call(call());
  for (std::size_t run = 1; run <= 6; ++run) {
    REQUIRE(comes_to([&] { return dir.exists("calls") && dir.read("calls").size() == run; }));
    pass(Milliseconds(299));
    CHECK(hook.counts().runs == run);
    pass(Milliseconds(1));
    REQUIRE(comes_to([&] { return hook.counts().runs == run + 1; }));
  }
  CHECK(is_at_rest());
  CHECK(hook.counts().runs == 7);
  CHECK(hook.counts().failures == std::map<int, std::uint64_t>{{128 + SIGKILL, 6}});
}

TEST_CASE_METHOD(HookTest, "a hook that fails is given up after four calls, one that may work later is not",
                 "[keep]") {
  Hook& fails = hook("exit 3", {Milliseconds(30'000), {kSoon, kSoon, kSoon}});
  fails.call(call());
  CHECK(comes_to([&] { return fails.counts().runs == 4; }));
  CHECK(is_at_rest());
  CHECK(fails.counts().failures == std::map<int, std::uint64_t>{{3, 4}});
  Hook& later = hook("exit 75", {Milliseconds(30'000), {kSoon, kSoon, kSoon}});
  later.call(call());
  CHECK(comes_to([&] { return later.counts().runs > 6; }));
}

TEST_CASE_METHOD(HookTest,
                 "one that may work later is called until it does, and does not hold up other stores",
                 "[keep]") {
  const int status = GENERATE(3, 75);
  Hook& hook = this->hook(fmt::format(R"(printf %s "$CLAUDE_INIT_STORE_NAME" >> "$D/told")"
                                      R"(; [ "$CLAUDE_INIT_STORE_NAME" = b ] || exit {})",
                                      status),
                          {});
  const SteadyTime begun = std::chrono::steady_clock::now();
  for (const char* store : {"a", "b"}) {
    Hook::Call one = call();
    one.store = store;
    hook.call(std::move(one));
  }
  const auto told = [&] { return dir.exists("told") ? dir.read("told") : std::string(); };
  // The next call of "a" begins as soon as that of "b" has ended.
  CHECK(comes_to([&] { return told().starts_with("aaaab"); }));
  const auto took = std::chrono::steady_clock::now() - begun;
  CHECK(took >= Milliseconds(71'000));
  CHECK(took < Milliseconds(71'100));
  CHECK(is_at_rest() == (status == 3));
  CHECK(told().starts_with(status == 3 ? "aaaab" : "aaaaba"));
  CHECK((hook.counts().runs == 5) == (status == 3));
}

TEST_CASE_METHOD(HookTest, "of more than 64 changes that wait the oldest is dropped and counted", "[keep]") {
  Hook& hook = this->hook(R"([ -e "$D/go" ] || exit 75; printf '%s\n' "$CLAUDE_INIT_TEXT" >> "$D/told")",
                          {Milliseconds(30'000), {kSoon, kSoon, kSoon}});
  for (int i = 0; i < 66; ++i) hook.call(call(std::to_string(i), ""));
  CHECK(hook.counts().failures.at(-1) == 2);
  dir.file("go", "");
  CHECK(comes_to([&] { return dir.exists("told") && dir.read("told").ends_with("dev: 65\n"); }));
  CHECK(dir.read("told").starts_with("dev: 0\ndev: 3\ndev: 4\n"));
}

TEST_CASE_METHOD(HookTest, "the text can be read alone: whose it is, what happened, what to type", "[keep]") {
  Hook& hook = this->hook(R"(cat > "$D/json"; printf %s "$CLAUDE_INIT_TEXT" > "$D/text")", {});
  hook.call(call());
  CHECK(comes_to([&] { return dir.exists("text") && !dir.read("text").empty(); }));
  CHECK(dir.read("text") == "dev: the login is dead. → log in");
  const auto json = nlohmann::json::parse(dir.read("json"));
  CHECK(json["text"] == "dev: the login is dead. → log in");
  CHECK(json["store"] == "dev");
  CHECK(json["remedy"] == "log in");
}
