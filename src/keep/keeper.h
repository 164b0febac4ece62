#pragma once

#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "base/time.h"
#include "fs/identity.h"
#include "keep/login_monitor.h"
#include "keep/outlet.h"
#include "keep/report.h"
#include "loop/file_watch.h"
#include "loop/inotify.h"
#include "loop/wall_timer.h"
#include "renew/renewer.h"
#include "store/inspect.h"
#include "store/store.h"
#include "supervise/supervisor.h"

namespace claude_init::keep {

/// Keeps one store: renews its login, publishes it, and knows how it is. The store, the published one and the
/// login may be missing at any time, and are looked for. Publishing is done in the loop, so that a slow disk
/// or a lock holds up the other keepers for as long as it takes; nothing else does. Wakes up for a change of
/// the store, and when something becomes due.
class Keeper {
 public:
  struct Options {
    std::string name;
    std::string store;        // absolute
    std::string publish;      // the directory of a published store; "" = none
    std::string placeholder;  // that of one without any token; "" = none
    /// What to type where one of these is another user's; "" where it is not known.
    std::function<std::string(const std::string& directory)> take_over;
    /// Who looks, and what a person types to log in to this store, which is as it is seen here.
    std::function<health::Context(const store::Inspection&)> context;
    bool renews = true;
    renew::Renewer::Options renewal;  // `store`, `on_outcome` and `keeps` are set here
  };
  /// Called for each event once, after it has happened.
  using Tell = std::function<void(const Keeper&, const Event&)>;
  Keeper(const supervise::Loop& loop, loop::Inotify& inotify, Options options, Tell tell);

  void start();
  /// No renewal and no looking from here on; one that is running is finished and told.
  void stop();
  /// What is left to be published, until `deadline`. Says what failed.
  void finish(const Deadline& deadline);

  [[nodiscard]] const LoginMonitor& record() const { return monitor_; }
  /// What is known: nothing is read for it. What it points to is this keeper's.
  [[nodiscard]] Shown shown() const;
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  void check_now();
  void watch(fs::Identity owner);
  [[nodiscard]] store::Inspection inspect(UnixMs now);
  [[nodiscard]] Result<store::Store> open_store() const;
  void settle(const store::Inspection& seen);
  void watch_generations();
  void count_generations();
  void renew_where_we_may(const store::Inspection& seen);
  void renewed(const renew::Outcome& outcome);
  [[nodiscard]] bool is_unknown_for_now(const store::Inspection& seen, UnixMs now);
  void mind_refusal(const std::optional<renew::Outcome>& refusal, UnixMs expires_at);
  void watch_identity(bool wanted);
  void tried(const renew::Outcome& outcome);
  void notify(const std::vector<Event>& news);
  void await_next(UnixMs now);
  void published();

  const supervise::Loop loop_;
  loop::Inotify& inotify_;
  const Options options_;
  const Tell on_event_;
  LoginMonitor monitor_;
  loop::WallTimer timer_;
  UnixMs unknown_since_ = 0;  // the store cannot be read for the moment; 0: it can
  // From the first look on the store stays its first owner's: its path leads through directories of other
  // people's.
  store::StoreOptions how_;
  fs::Identity owner_;  // whose rights the watches have
  std::optional<loop::FileWatch> login_;
  std::optional<loop::FileWatch> settings_;  // whose login it is
  std::optional<renew::Renewer> renewer_;
  std::string refused_;                      // why, and of which access token, that was told; "" = it is not
  std::optional<loop::FileWatch> identity_;  // while the store is a copy
  std::optional<loop::FileWatch> generations_;
  std::uint64_t captures_ = 0;  // when they could last be counted
  Publishing publishing_;
  std::deque<Outlet> outlets_;  // what it is published into, in the order of Options
  std::string unsettled_;       // why the store could not be sealed; "" = it is, or there is no key
  bool stopped_ = false;
};

}  // namespace claude_init::keep
