#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <thread>

#include "lock/lease.h"
#include "lock/lock.h"
#include "state_helpers.h"
#include "lock/lock_method.h"

using namespace claude_init;
using namespace claude_init::store;
using namespace claude_init::lock;
using test::TempDir;

namespace {

Store open_leased(const TempDir& dir, const LeaseTimes& times) {
  StoreOptions options;
  options.locking = Locking::lease;
  options.lease = times;
  auto store = Store::open(dir.path(), options);
  REQUIRE(store.ok());
  return std::move(*store);
}

std::filesystem::file_time_type heartbeat(const TempDir& dir) {
  const std::filesystem::directory_iterator file(dir.path(".claude-init/locks/store.lease"));
  REQUIRE(file != std::filesystem::directory_iterator());
  return std::filesystem::last_write_time(file->path());
}

}  // namespace

TEST_CASE("a holder's heart beats by itself") {
  const TempDir dir;
  const auto lock = Lock::acquire(open_leased(dir, {Milliseconds{5}, Milliseconds{3'600'000}}), "store", "x",
                                  Milliseconds{0});
  REQUIRE(lock.ok());
  const time_t begun = ::time(nullptr);
  for (int beats = 0; beats < 3; ++beats) {
    const auto last = heartbeat(dir);
    while (heartbeat(dir) == last) {
      REQUIRE(::time(nullptr) - begun < 60);
      std::this_thread::yield();
    }
  }
  CHECK(lock->verify().ok());
}

TEST_CASE("two that break the same stale lease do not both get it") {
  for (int round = 0; round < 5; ++round) {
    const TempDir dir;
    const LeaseTimes times{Milliseconds{100}, Milliseconds{400}};
    {
      // Left behind by a killed one: a file in it whose heartbeat stands still.
      const Store store = open_leased(dir, times);
      REQUIRE(open_locks(store).ok());
      dir.dir(".claude-init/locks/store.lease");
      dir.file(".claude-init/locks/store.lease/dead", "host\n1\nkilled\n1\n");
    }
    std::atomic<int> clock{0};
    std::atomic<int> failures{0};
    struct Held {
      int from = 0;
      int to = -1;
    };
    std::array<Held, 4> held;
    std::vector<std::thread> threads;
    for (Held& ours : held) {
      threads.emplace_back([&] {
        StoreOptions options;
        options.lease = times;
        const auto store = Store::open(dir.path(), options);
        const auto lock = Lock::acquire(*store, "store", "x", Milliseconds{60'000});
        if (!lock) {
          ++failures;
          return;
        }
        ours.from = ++clock;
        std::this_thread::sleep_for(Milliseconds{20});
        const int to = ++clock;
        // One that stood still on a busy machine knows that it may have lost it.
        if (lock->verify().ok()) ours.to = to;
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(failures == 0);
    for (std::size_t a = 0; a < held.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b)
        CHECK_FALSE((held[a].from < held[b].to && held[b].from < held[a].to));
    }
  }
}
