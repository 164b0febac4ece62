#pragma once

#include <fmt/format.h>
#include <sys/resource.h>

#include <catch2/catch.hpp>
#include <string>

#include "base/time.h"
#include "lock/lock.h"
#include "store/store.h"
#include "temp_dir.h"

namespace claude_init::test {

/// A login as the CLI writes it, good for another hour.
struct FakeLogin {
  std::string access = "FAKE-access-1";
  std::string refresh = "FAKE-refresh-1";
  std::string account = "account-1";
  UnixMs valid_for = 3'600'000;

  [[nodiscard]] std::string text() const {
    return fmt::format(
        R"({{"claudeAiOauth":{{"accessToken":"{}","refreshToken":"{}","expiresAt":{},"scopes":["user:inference"],)"
        R"("accountUuid":"{}","unknown":{{"kept":1}}}},"mcpOAuth":{{}}}})",
        access, refresh, unix_now() + valid_for, account);
  }
};

/// What `act` returns where no descriptor can be had.
template <class Act>
auto without_descriptors(Act act) {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  auto result = act();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  return result;
}

inline store::Store open_store(const std::string& path) {
  auto store = store::Store::open(path);
  REQUIRE(store.ok());
  return std::move(*store);
}

inline lock::Lock lock_store(const store::Store& store) {
  auto lock = lock::Lock::acquire(store, "store", "test", Milliseconds{0});
  REQUIRE(lock.ok());
  return std::move(*lock);
}

}  // namespace claude_init::test
