#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "follow/checkpoint.h"
#include "follow/follower.h"
#include "fs/identity.h"
#include "loop/inotify.h"
#include "store/layout.h"
#include "sync/capture.h"

namespace claude_init::follow {

/// One session's state and the store, kept the same while its command runs: what is put into the store goes
/// to the session; where the session is trusted with that, a login that is made in it goes to the store, and,
/// where it is to be captured, the rest of its state too. Runs on the loop that supervises the command.
class Coherence {
 public:
  /// What one capture of the session is to do.
  struct Save {
    store::Extent extent = store::Extent::login;
    std::string_view given_access_token{};  // of the login that the session has from the store
    Deadline deadline{};
    Milliseconds wait{0};  // for another process's capture to end
  };
  struct Options {
    std::string store;  // absolute
    store::StatePaths state;
    fs::Identity who;
    store::Filter filter{};
    store::RefreshToken refresh_token = store::RefreshToken::withhold;
    Milliseconds checkpoint{300};
    bool captured = false;  // all of its state, as in setup; else only a login that is made in it
    enum class Renewed { nobody_knows, here, elsewhere } renewed = Renewed::nobody_knows;
    /// Captures into the store. Empty: nothing that is made in the session is taken over.
    std::function<Result<sync::CaptureReport>(const Save&)> save{};
    std::string why_not{};        // the store cannot be written from here: "the store is read-only"
    std::string why_not_saved{};  // without `save`: why, and where to log in; else `why_not` says it
    /// The store's login is another one.
    std::function<void()> on_store_change{};
    store::StoreOptions how{};  // the store is opened
  };
  Coherence(boost::asio::io_context& io, Options options);

  /// Before the session's command starts: both sides are the same. Says until when the login can be used,
  /// where this process cannot renew it.
  void begin();
  /// From now on both sides are watched; what has changed since begin() is found. Throws
  /// boost::system::system_error where the kernel has no room for what watching takes.
  void start();
  /// Compares both sides at once, for a session that is about to start.
  void check_now();
  /// What was made in the session last, into the store, waiting for others. Error: it could not be saved.
  Result<void> finish(Milliseconds wait, const Deadline& deadline);
  /// What was made in the session last, into the store, unless another process is writing. Logs what failed.
  void save_now() { static_cast<void>(save_login(Milliseconds(0), {})); }

  /// A login that was made in the session is in the store.
  [[nodiscard]] bool login_saved() const { return login_saved_; }
  [[nodiscard]] const Secret& given_access_token() const { return follower_.given_access_token(); }

 private:
  using Saved = Checkpoint::Saved;
  [[nodiscard]] bool warns_early() const;
  [[nodiscard]] Saved save_login(Milliseconds wait, const Deadline& deadline);
  [[nodiscard]] Saved save_rest(SteadyTime deadline);
  [[nodiscard]] Saved failed(const Error& error);
  void saved(const sync::CaptureReport& report, bool made_here);
  void say_not_saved(const std::string& reason);
  void say_how_long(UnixMs expires_at) const;

  const Options options_;
  const bool follows_;
  loop::Inotify inotify_;
  Follower follower_;
  Checkpoint checkpoint_;
  bool login_saved_ = false;
  std::string said_;              // why a login was not saved, said once
  std::optional<Error> failure_;  // why the last capture failed
  bool failure_said_ = false;     // until one succeeds
};

}  // namespace claude_init::follow
