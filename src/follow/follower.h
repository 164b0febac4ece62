#pragma once

#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "follow/login_sync.h"
#include "fs/identity.h"
#include "loop/debounce.h"
#include "loop/file_watch.h"
#include "loop/inotify.h"
#include "loop/wall_timer.h"
#include "store/layout.h"

namespace claude_init::follow {

/// Keeps the login of a session's copy equal to the store's: what is put into the store is judged, and within
/// 200 ms in the copy, as the copy's user and atomically; exchange.h says what is given and what is not. One
/// look more before the login expires, whatever the watches said.
class Follower {
 public:
  struct Options {
    std::string store;  // absolute
    store::StatePaths state;
    fs::Identity who;  // whose copy it is
    store::RefreshToken refresh_token = store::RefreshToken::withhold;
    /// How long before its end `on_expiring` is called for a login that has not been followed by another one.
    Milliseconds notice{5 * 60 * 1000};
    std::function<void(UnixMs expires_at)> on_expiring{};
    /// The store's login is another one than before, whether or not it was given.
    std::function<void()> on_store_change{};
    store::StoreOptions how{};  // the store is opened
  };
  Follower(boost::asio::io_context& io, loop::Inotify& inotify, Options options);

  /// Before the session can change its copy: what that has now is what the session began with. With a look.
  void begin() { static_cast<void>(check_now()); }
  /// Watches from now on, beginning with a look.
  void start();
  /// Compares both sides and gives what is to be given. True: the copy has a login that was made in it, to be
  /// saved; call adopted() when one has been saved.
  [[nodiscard]] bool check_now();
  void adopted();
  /// Of what the copy has from the store.
  [[nodiscard]] const Secret& given_access_token() const { return given_access_token_; }
  [[nodiscard]] UnixMs expires_at() const { return expires_at_; }  // 0: there is none, or it is unknown

 private:
  [[nodiscard]] Result<Move> compare_and_give();
  [[nodiscard]] Result<void> give(std::string_view store_login, std::optional<std::string_view> copy);
  void remember(std::string_view login);
  void check_before_expiry();
  void on_time();

  Options options_;
  loop::FileWatch watch_;
  loop::Debounce again_;  // what failed is tried again
  loop::WallTimer timer_;
  UnixMs due_ = 0;                          // what it was set to
  std::optional<std::size_t> store_login_;  // as it was seen last: its hash, for it holds what is withheld
  Secret given_access_token_;
  UnixMs expires_at_ = 0;  // of what was given; 0: unknown
  bool begun_ = false;     // what the copy began with has been read
  bool looked_ = false;    // at both sides
  bool noticed_ = false;
  bool failed_ = false;
};

}  // namespace claude_init::follow
