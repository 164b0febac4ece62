// 24 days of a keeper in seconds: the real Keeper, Renewer and LoginMonitor, on a clock that stands still
// while they work and jumps to what is due next. The linker puts the functions below in the place of the
// clock and of its timers (CMakeLists.txt).
#include <fcntl.h>
#include <malloc.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <deque>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <set>

#include "keep/keeper.h"
#include "lock/lock.h"
#include "renew/renewal_queue.h"
#include "signals_taken.h"
#include "store/inspect.h"
#include "temp_dir.h"

using namespace claude_init;
using keep::Change;

namespace {

constexpr UnixMs kBegin = 1'795'468'330'000;
constexpr UnixMs kLead = 45 * kMinute;
constexpr UnixMs kLifetime = 8 * kHour;
constexpr std::size_t kStores = 10;
constexpr std::size_t kHours = 24 * 24;

std::size_t hour_of(UnixMs time) {
  return static_cast<std::size_t>((time - kBegin) / kHour);
}

UnixMs now = kBegin;
constexpr UnixMs kNever = INT64_MAX;
std::map<int, UnixMs> timers;  // of the wall clock → when it is due
std::set<int> cancelled;       // timers, since the clock was set

}  // namespace

namespace claude_init {
UnixMs simulated_now() asm("__wrap__ZN11claude_init8unix_nowEv");
UnixMs simulated_now() {
  return now;
}
}  // namespace claude_init

// The loop's own timers are steady, and stay what they are.
extern "C" int __real_timerfd_create(int clock, int flags);
extern "C" int __real_timerfd_settime(int timer, int flags, const itimerspec* spec, itimerspec* old);

extern "C" int __wrap_timerfd_create(int clock, int flags) {
  if (clock != CLOCK_REALTIME) return __real_timerfd_create(clock, flags);
  const int timer = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  timers[timer] = kNever;
  return timer;
}

extern "C" int __wrap_timerfd_settime(int timer, int flags, const itimerspec* spec, itimerspec* old) {
  const auto ours = timers.find(timer);
  if (ours == timers.end()) return __real_timerfd_settime(timer, flags, spec, old);
  const UnixMs due = UnixMs{spec->it_value.tv_sec} * 1000 + spec->it_value.tv_nsec / 1'000'000;
  ours->second = due == 0 ? kNever : due;
  return 0;
}

extern "C" ssize_t __real_read(int file, void* into, size_t size);

extern "C" ssize_t __wrap_read(int file, void* into, size_t size) {
  const ssize_t n = __real_read(file, into, size);
  if (cancelled.erase(file) == 0) return n;
  errno = ECANCELED;
  return -1;
}

namespace {

/// What the CLI does to a login, as the file beside it says: "renewed EXPIRES END", "unchanged", "killed",
/// "blanked".
constexpr const char* kCli = R"(read -r mode expires end < "$1"
login() {
  printf '{"claudeAiOauth":{"accessToken":"%s","refreshToken":"%s","expiresAt":%s,"refreshTokenExpiresAt":%s,"scopes":["user:inference"],"accountUuid":"one"}}' "$@" > "$CLAUDE_CONFIG_DIR/.credentials.json"
}
case $mode in
  renewed) login "FAKE-a-$expires" "FAKE-r-$expires" "$expires" "$end" ;;
  blanked) login "" "" 0 0 ;;
  killed) kill -9 $$ ;;
esac
)";

struct Told {
  Change change{};
  UnixMs at = 0;
};

struct Renewal {
  std::size_t store = 0;
  UnixMs at = 0;
  UnixMs replaced = 0;  // the end of the access token that it replaced
};

using ByHour = std::vector<int>;

class Simulation {
 public:
  explicit Simulation(UnixMs end_of_login, bool renews = true) : end_of_login_(end_of_login) {
    now = kBegin;
    told.reserve(4000);  // what is noted here is not to look like a leak
    renewals.reserve(4000);
    if (test::is_root()) memory_.emplace(dir_.path(), "mode=0755");
    dir_.file("cli", kCli);
    for (std::size_t i = 0; i < kStores; ++i) {
      const std::string name = "s" + std::to_string(i);
      dir_.dir(name, 0700);
      log_in(name, end_of_login_);
      keep::Keeper::Options options;
      options.name = name;
      options.store = dir_.path(name);
      options.context = [](const store::Inspection&) {
        health::Context context;
        context.setup_command = "log in";
        return context;
      };
      options.renews = renews;
      options.renewal.renew_before = Milliseconds(kLead);
      options.renewal.command = {"/bin/sh", dir_.path("cli"), dir_.path("server")};
      options.renewal.environment = {"PATH=/usr/bin:/bin"};
      options.renewal.purpose = "test";
      options.renewal.turns = &turns_;
      keepers_.emplace_back(loop_, inotify_, options, [this](const keep::Keeper&, const keep::Event& event) {
        told.push_back({event.change, event.time});
      });
    }
    for (keep::Keeper& keeper : keepers_) keeper.start();
    settle();
  }

  /// As a person does who logs in.
  void log_in(const std::string& store, UnixMs end) {
    end_of_login_ = end;
    const UnixMs expires = now + kLifetime;
    dir_.file(
        store + "/new",
        fmt::format(R"({{"claudeAiOauth":{{"accessToken":"FAKE-a-{0}-{1}","refreshToken":"FAKE-r-{0}-{1}",)"
                    R"("expiresAt":{1},"refreshTokenExpiresAt":{2},"scopes":["user:inference"],)"
                    R"("accountUuid":"one"}}}})",
                    store, expires, end),
        0600);
    std::filesystem::rename(dir_.path(store + "/new"), dir_.path(store + "/.credentials.json"));
  }

  /// Everything that is due until then, in order, with a server that does that.
  void until(UnixMs end, const std::string& server) {
    for (auto next = next_due(end); next; next = next_due(end)) {
      now = std::max(now, next->second);
      answer(server);
      timers[next->first] = kNever;
      const std::uint64_t once = 1;
      REQUIRE(::write(next->first, &once, sizeof once) == sizeof once);
      wakeups[hour_of(now)] += 1;
      settle();
    }
    now = end;
  }

  /// As an administrator does, or whoever knows the time.
  void set_clock(UnixMs to) {
    now = to;
    for (const auto& [timer, due] : timers) {
      if (due == kNever) continue;
      cancelled.insert(timer);
      const std::uint64_t once = 1;
      REQUIRE(::write(timer, &once, sizeof once) == sizeof once);
    }
    settle();
  }

  [[nodiscard]] store::Store store(const std::string& name) const {
    auto store = store::Store::open(dir_.path(name));
    REQUIRE(store.ok());
    return std::move(*store);
  }

  /// Until a new login that somebody has made is seen by all.
  void see_new_logins() {
    for (int i = 0; i < 1000 && !std::all_of(keepers_.begin(), keepers_.end(), works); ++i) {
      io_.run_for(Milliseconds(10));
      settle();
    }
  }

  [[nodiscard]] std::size_t count(Change change, UnixMs from = kBegin, UnixMs to = INT64_MAX) const {
    return static_cast<std::size_t>(std::count_if(told.begin(), told.end(), [&](const Told& one) {
      return one.change == change && one.at >= from && one.at < to;
    }));
  }
  [[nodiscard]] bool all_work() const { return std::all_of(keepers_.begin(), keepers_.end(), works); }

  std::vector<Told> told;
  std::vector<Renewal> renewals;
  ByHour wakeups = ByHour(kHours);  // timers that were due
  ByHour failures = ByHour(kHours);

 private:
  static bool works(const keep::Keeper& keeper) {
    return keeper.record().ready() && !keeper.record().seen().renewal_rejected;
  }
  static std::uint64_t failures_of(const keep::Keeper& keeper) {
    std::uint64_t sum = 0;
    for (const auto& [cause, count] : keeper.record().failures()) sum += count;
    return sum;
  }

  static std::optional<std::pair<int, UnixMs>> next_due(UnixMs end) {
    const auto first = std::min_element(timers.begin(), timers.end(),
                                        [](const auto& a, const auto& b) { return a.second < b.second; });
    if (first == timers.end() || first->second >= end) return std::nullopt;
    return *first;
  }

  void answer(const std::string& mode) {
    dir_.file("server", fmt::format("{} {} {}\n", mode, now + kLifetime, end_of_login_));
  }

  /// Until nothing is left to be done at this moment: no handler, no child.
  void settle() {
    std::vector<std::pair<std::uint64_t, UnixMs>> before;
    for (const keep::Keeper& keeper : keepers_)
      before.emplace_back(keeper.record().renewals(), expiry(keeper));
    std::vector<std::uint64_t> failed;
    std::transform(keepers_.begin(), keepers_.end(), std::back_inserter(failed), failures_of);
    do {
      io_.restart();
      while (io_.poll() > 0) io_.restart();
      if (reaper_.watched().empty()) break;
      siginfo_t ended{};
      REQUIRE(::waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) == 0);
      static_cast<void>(reaper_.reap());
    } while (true);
    for (std::size_t i = 0; i < keepers_.size(); ++i) {
      if (keepers_[i].record().renewals() > before[i].first) renewals.push_back({i, now, before[i].second});
      if (failures_of(keepers_[i]) > failed[i]) failures[hour_of(now)] += 1;
    }
  }

  static UnixMs expiry(const keep::Keeper& keeper) {
    const auto& login = keeper.record().seen().login;
    return login ? login->expires_at : 0;
  }

  UnixMs end_of_login_;
  SignalsTaken signals_;
  test::TempDir dir_;
  std::optional<test::Mounted> memory_;  // hundreds of durable renewals
  boost::asio::io_context io_{1};
  loop::Reaper reaper_;
  const supervise::Loop loop_{io_, reaper_, signals_.inherited};
  loop::Inotify inotify_{io_};
  renew::RenewalQueue turns_{io_};
  std::deque<keep::Keeper> keepers_;
};

std::size_t open_descriptors() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

UnixMs day(double days) {
  return kBegin + static_cast<UnixMs>(days * static_cast<double>(kDay));
}

const UnixMs kShortOutage = day(3), kLongOutage = day(8), kKilled = day(12), kEnd = day(23);

bool is_troubled(UnixMs at) {
  return (at >= kShortOutage && at < kShortOutage + kHour) ||
         (at >= kLongOutage && at < kLongOutage + 13 * kHour) || (at >= kKilled && at < kKilled + 9 * kHour);
}

/// 45 minutes before the end, or up to a quarter of that later: in every one of 22 days the same.
void check_schedule(const Simulation& world) {
  std::vector<int> renewed(kStores);
  std::vector<UnixMs> last(kStores);
  for (const Renewal& one : world.renewals) {
    renewed[one.store] += 1;
    last[one.store] = one.at;
    if (is_troubled(one.at)) continue;
    CHECK(one.at >= one.replaced - kLead);
    CHECK(one.at <= one.replaced - kLead * 3 / 4);
  }
  for (const int count : renewed) {
    CHECK(count >= 69);  // 22.9 days without 20 hours of trouble, by 7 h 15 min to 7 h 26 min
    CHECK(count <= 76);
  }
  // Who began together does not stay together.
  const auto [first, latest] = std::minmax_element(last.begin(), last.end());
  CHECK(*latest - *first > 10 * kMinute);
}

/// A failure is told once, and so is its end; what lasts is tried ever less often.
void check_failures(const Simulation& world) {
  CHECK(world.count(Change::dead) == 0);
  CHECK(world.count(Change::failing, kLongOutage, kLongOutage + 12 * kHour) == kStores);
  CHECK(world.count(Change::recovered, kLongOutage, kLongOutage + 13 * kHour) == kStores);
  CHECK(world.count(Change::failing, kKilled, kKilled + 8 * kHour) == kStores);
  CHECK(world.count(Change::failing) == world.count(Change::recovered));
  const int late = world.failures[hour_of(kLongOutage) + 11];
  CHECK(late >= static_cast<int>(kStores));
  CHECK(late <= static_cast<int>(3 * kStores));
}

void check_quiet_hours(const Simulation& world) {
  ByHour busy = world.failures;
  for (const Renewal& one : world.renewals) busy[hour_of(one.at)] += 1;
  int quiet = 0;
  for (std::size_t hour = 0; hour < hour_of(day(22)); ++hour) {
    if (busy[hour] > 0) continue;
    quiet += 1;
    INFO(hour);
    CHECK(world.wakeups[hour] < 10);
  }
  CHECK(quiet > 100);
}

/// Each notice once and at its minute.
void check_notices(const Simulation& world) {
  CHECK(world.count(Change::expiring) == 3 * kStores);
  for (const UnixMs ahead : {7 * kDay, 3 * kDay, kDay})
    CHECK(world.count(Change::expiring, kEnd - ahead, kEnd - ahead + kMinute) == kStores);
}

}  // namespace

TEST_CASE("24 days of ten stores: what is due is done then, told once, and costs nothing in between",
          "[keep]") {
  Simulation world(kEnd);
  CHECK(world.count(Change::usable) == kStores);
  world.until(kShortOutage, "renewed");
  world.until(kShortOutage + 20 * kMinute, "unchanged");
  world.until(day(7), "renewed");
  const std::size_t memory = ::mallinfo2().uordblks;
  const std::size_t descriptors = open_descriptors();
  world.until(kLongOutage, "renewed");
  world.until(kLongOutage + 12 * kHour, "unchanged");
  CHECK_FALSE(world.all_work());
  world.until(kLongOutage + 13 * kHour, "renewed");
  CHECK(world.all_work());
  world.until(kKilled, "renewed");
  world.until(kKilled + 8 * kHour, "killed");
  world.until(day(22.9), "renewed");
  CHECK(::mallinfo2().uordblks <= memory + 32 * 1024);
  CHECK(open_descriptors() <= descriptors);
  check_schedule(world);
  check_failures(world);
  check_quiet_hours(world);
  check_notices(world);
  // The login ends, and another one comes.
  world.until(day(23.5), "blanked");
  CHECK(world.count(Change::dead) == kStores);
  for (std::size_t i = 0; i < kStores; ++i) world.log_in("s" + std::to_string(i), day(50));
  world.see_new_logins();
  world.until(day(24), "renewed");
  CHECK(world.count(Change::dead) == kStores);
  CHECK(world.all_work());
}

TEST_CASE("what nobody renews is told soon after the access token's end, at no cost", "[keep]") {
  SECTION("since this keeper may not") {
    Simulation world(kEnd, false);
    world.until(day(1), "renewed");
    CHECK(world.count(Change::failing) == kStores);
    CHECK(world.count(Change::failing, kBegin + kLifetime, kBegin + kLifetime + 6 * kMinute) == kStores);
    CHECK(*std::max_element(world.wakeups.begin(), world.wakeups.end()) <= static_cast<int>(2 * kStores));
    for (std::size_t i = 0; i < kStores; ++i) world.log_in("s" + std::to_string(i), kEnd);
    world.see_new_logins();
    CHECK(world.count(Change::recovered) == kStores);
  }
  SECTION("since somebody holds a lock and does not end") {
    Simulation world(kEnd);
    const store::Store store = world.store("s0");
    std::optional<lock::Lock> lock;
    {
      auto taken = lock::Lock::acquire(store, "renewal", "test", Milliseconds{0});
      REQUIRE(taken.ok());
      lock.emplace(std::move(*taken));
    }
    world.until(kBegin + kLifetime + kMinute, "renewed");
    CHECK(world.count(Change::failing) == 0);
    world.until(kBegin + kLifetime + 10 * kMinute, "renewed");
    CHECK(world.count(Change::failing) == 1);
    lock.reset();
    world.until(kBegin + kLifetime + 11 * kMinute, "renewed");
    CHECK(world.count(Change::recovered) == 1);
  }
}

TEST_CASE("a clock that was ahead and is set back puts off neither a renewal nor the news", "[keep]") {
  Simulation world(kEnd);
  world.until(day(1), "renewed");
  const UnixMs ahead = now + 10 * kHour;
  world.set_clock(ahead);
  world.until(ahead + kHour, "unchanged");
  CHECK(world.count(Change::failing) == kStores);
  CHECK_FALSE(world.all_work());
  world.set_clock(day(1) + kHour);
  CHECK(world.all_work());  // their tokens have not ended
  world.until(day(1) + 2 * kHour, "renewed");
  CHECK(world.count(Change::recovered) == kStores);
}

TEST_CASE("what the clock says of a login's own end is taken back with it", "[keep]") {
  Simulation world(kEnd);
  world.until(kBegin + kHour, "unchanged");
  world.set_clock(kEnd + kHour);
  CHECK_FALSE(world.all_work());
  world.set_clock(kBegin + 2 * kHour);
  CHECK(world.all_work());
}
