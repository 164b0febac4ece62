#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secret.h"
#include "base/time.h"
#include "loop/wall_timer.h"
#include "renew/helper.h"
#include "renew/renewal.h"
#include "renew/renewal_queue.h"
#include "renew/schedule.h"
#include "renew/version.h"
#include "supervise/supervisor.h"

namespace claude_init::renew {

/// Renews the login of one store ahead of its expiry, for as long as it lives, on the loop that supervises
/// the command. Sleeps until then: one timer of the wall clock; when that is set, what is due is judged anew.
/// Says what it does; nothing that it meets is fatal.
class Renewer {
 public:
  /// Longer than any version of the CLI takes, also on a machine that is short of everything: to end one that
  /// waits for its answer costs the login. 90 s where none comes (2.1.100).
  static constexpr Milliseconds kTimeLimit{300'000};
  struct Options {
    std::string store;                      // absolute
    store::StoreOptions how{};              // it is opened: its locks, who may read it
    Milliseconds renew_before{};            // lead, at most
    Milliseconds check_every{};             // a token is renewed at that age, due or not; 0: when it is due
    std::vector<std::string> command;       // has a program, after any NAME=VALUE
    std::vector<std::string> environment;   // NAME=VALUE, from which the command gets some
    std::string purpose;                    // shown to others that want to renew: "run"
    Milliseconds time_limit = kTimeLimit;   // for the command; then TERM, and KILL after another 5 s
    bool keeps = false;                     // asks for the CLI's version before there is anything to renew
    std::function<std::string()> log_in{};  // what a person types when the login is dead
    RenewalQueue* turns = nullptr;          // waits for one, of those who share it; none: never waits
    /// Called with the outcome of each try, to report it; the store may have changed. Empty: it is logged.
    std::function<void(const Outcome&)> on_outcome{};
  };
  Renewer(const supervise::Loop& loop, Options options);
  Renewer(const Renewer&) = delete;
  Renewer& operator=(const Renewer&) = delete;

  /// Looks at the store's login and arms the timer for it. To be called first, and whenever the login may
  /// have changed.
  void check_now();
  /// Looks, and renews at once, due or not.
  void renew_now();
  /// What refused a renewal, or made it fail, may be gone: it is tried as if it had not been.
  void try_again();
  /// No renewal is started from here on. One that is running is not disturbed: when its command ends, within
  /// the grace of who supervises it, what it made is published.
  void stop();

  /// Whether the command of a renewal is running.
  [[nodiscard]] bool is_renewing() const { return renewal_.has_value(); }
  /// What the last try came to; nothing before the first.
  [[nodiscard]] const std::optional<Outcome>& last() const { return last_; }
  /// The version of the CLI that renews, as far as it is known.
  [[nodiscard]] const std::optional<cli::Version>& cli_version() const { return tool_.version; }
  /// When the next try is due; nothing while one runs, and where there is nothing to renew.
  [[nodiscard]] std::optional<UnixMs> next() const;

 private:
  void arm();
  void on_time();
  void renew(std::optional<RenewalQueue::Turn> turn);
  void learn_version(const store::Store& store);
  void learned(const store::RenewerNote::Program& program, const std::optional<cli::Version>& version);
  void note_version(const store::RenewerNote::Program& program);
  void ask_version();
  void take_version(const store::RenewerNote::Program& program);
  void run();
  void ended(const loop::ChildChange& change);
  void find_out(const Outcome& unsure);
  void spawn(const std::vector<std::string>& words, Milliseconds limit, Helper::Then then);
  void tried(const Outcome& outcome);
  void show_output(const Outcome& outcome);
  void concluded(const Outcome& outcome);
  void log_outcome(const Outcome& outcome);

  const supervise::Loop loop_;
  const Options options_;
  loop::WallTimer timer_;
  UnixMs armed_for_ = 0;
  Secret due_;  // the access token in the store; "" = there is nothing to renew
  Deadlines deadlines_;
  History history_;
  double jitter_ = 0;
  bool given_up_ = false;  // this login is dead, or not ours until try_again()
  bool stopped_ = false;
  std::shared_ptr<int> asked_;  // for a turn, to renew `due_`; gone when that is not wanted any more
  std::optional<RenewalQueue::Turn> turn_;
  std::optional<Renewal> renewal_;  // its command is running
  Tool tool_;                       // which that is
  Helper helper_;                   // runs it
  VersionQuery query_;
  bool learned_ = false;  // or asked for
  std::optional<Outcome>
      unsure_;                // what the command came to, while the default one finds out what that means
  std::string shown_output_;  // of the last failure
  std::optional<Outcome> last_;
};

}  // namespace claude_init::renew
