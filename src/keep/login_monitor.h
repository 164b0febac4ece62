#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "health/health.h"
#include "renew/renewal.h"
#include "store/inspect.h"
#include "store/store.h"

/// What the keeper knows of one store, and what of it is news. Pure: no I/O, no clock of its own.
namespace claude_init::keep {

/// What is worth telling, once each: in the log, to the hook, on the page.
enum class Change {
  usable,     // the first look found a login that works
  unusable,   // there is none: missing, empty, malformed, unreadable, no store
  renewed,    // a new access token of the same account
  failing,    // a renewal did not bring one, or none has come for long, or it cannot be published; it is
              // tried again
  dead,       // the login cannot be renewed any more: log in again
  expiring,   // the login itself expires in 7, 3 or 1 days
  recovered,  // it works again after it did not, or after renewals failed, or is published again
  account_changed,  // another account's login
};
[[nodiscard]] std::string_view name_of(Change change);  // "usable", …, "account-changed"

struct Event {
  UnixMs time = 0;
  Change change = Change::usable;
  std::string text;    // one sentence for a person
  std::string remedy;  // what to type; "" where nothing is to be done
};

/// What keeps a login from being renewed, while something does.
struct Obstacle {
  std::string reason;  // one clause; "" where it is not known
  std::string remedy;  // what to do or to type; "" where nothing is known
  bool again = true;   // it is tried again by itself, not only when something of the store has changed
};

/// A lock that a renewal needs and another process holds.
struct Waiting {
  UnixMs since = 0;
  std::string reason;  // one clause: what is in use, and by whom
};

class LoginMonitor {
 public:
  /// `context`: who looks, and what to type to log in to this store; its `now` is not used. `renews`: this
  /// keeper does.
  LoginMonitor(std::string name, health::Context context, bool renews = true)
      : name_(std::move(name)), context_(std::move(context)), renews_(renews) {}
  /// The same, where it may have changed with the store.
  void know(health::Context context) { context_ = std::move(context); }

  /// The store as it is seen at `now`: what is news about it. To be called when it may have changed, and at
  /// next_look().
  [[nodiscard]] std::vector<Event> observe(store::Inspection seen, UnixMs now);
  /// What a renewal of ours came to. Where the store has changed too, observe() tells the rest.
  [[nodiscard]] std::vector<Event> tried(const renew::Outcome& outcome, UnixMs now);
  /// Whether that failure is news of renewals of which it has been told already that they fail: each cause
  /// once. To be asked before tried().
  [[nodiscard]] bool is_another_cause(const renew::Outcome& outcome) const;
  /// Whether it has begun to wait for a lock for so long that people should know, which is told once for each
  /// wait. To be asked after tried().
  [[nodiscard]] bool begins_to_wait(UnixMs now);
  /// What refused a renewal (Outcome::Kind::refused) is gone.
  [[nodiscard]] std::vector<Event> allowed(UnixMs now);

  /// When something becomes news by itself: the access token's end, and that it was not renewed long after
  /// that; 7, 3 and 1 days before the login's end, and that. Nothing where nothing will.
  [[nodiscard]] std::optional<UnixMs> next_look(UnixMs now) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// What to do or to type, so that the login works (again); "" where nothing is to be done.
  [[nodiscard]] std::string remedy(UnixMs now) const;
  /// What a person types to log in to this store.
  [[nodiscard]] const std::string& log_in() const { return context_.setup_command; }
  [[nodiscard]] const store::Inspection& seen() const { return seen_; }
  /// The login is dead because it has come to the end that every login has: nothing is broken.
  [[nodiscard]] bool has_ended_normally(UnixMs now) const;
  /// What the login comes to: dead as soon as the server has rejected it, though its access token works for a
  /// while.
  [[nodiscard]] login::State outcome() const;
  /// Whether a workload can use the login, and will be able to: not one that the server has rejected, though
  /// its access token works for a while, nor one that does not get to where workloads find it.
  [[nodiscard]] bool ready() const {
    return outcome() == login::State::usable && unpublished_.reason.empty();
  }
  /// How publishing it goes: why it cannot be, or nothing in the reason where it can. News are its first
  /// failure, and that it works again.
  [[nodiscard]] std::vector<Event> published(Obstacle why, UnixMs now);
  [[nodiscard]] const Obstacle& unpublished() const { return unpublished_; }
  [[nodiscard]] std::optional<UnixMs> failing_since() const { return failing_since_; }
  /// Why, as far as it is known; of use while it fails.
  [[nodiscard]] const Obstacle& obstacle() const { return obstacle_; }
  /// What its renewal waits for, from when begins_to_wait() has told it on.
  [[nodiscard]] const Waiting* waiting() const { return told_waiting_ ? &*waiting_ : nullptr; }
  [[nodiscard]] std::optional<UnixMs> waiting_since() const {
    return told_waiting_ ? std::optional(waiting_->since) : std::nullopt;
  }
  [[nodiscard]] std::optional<UnixMs> last_renewal() const { return last_renewal_; }
  [[nodiscard]] std::uint64_t renewals() const { return renewals_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& failures() const {
    return failures_;
  }                                                                          // by cause
  [[nodiscard]] const std::deque<Event>& events() const { return events_; }  // the last ones, newest first

 private:
  void remember_rejection(store::Inspection& seen);
  void add(std::vector<Event>& news, UnixMs now, Change change, std::string text, std::string remedy = {});
  void compare(const store::Inspection& before, std::vector<Event>& news, UnixMs now);
  [[nodiscard]] std::string why_dead(UnixMs now) const;
  void warn_of_waiting(std::vector<Event>& news, UnixMs now);
  void warn_of_end(std::vector<Event>& news, UnixMs now);
  void fails_no_more();

  std::string name_;
  health::Context context_;
  bool renews_ = true;
  store::Inspection seen_;
  bool looked_ = false;
  std::string account_;                // the last one that a login named
  std::optional<UnixMs> waits_since_;  // for a renewal, its access token having ended
  std::optional<UnixMs> failing_since_;
  Obstacle obstacle_;
  Obstacle unpublished_;
  std::set<std::string, std::less<>> causes_;  // of failures since then
  std::optional<Waiting> waiting_;             // since the first try in vain
  bool told_waiting_ = false;
  std::optional<UnixMs> last_renewal_;
  std::uint64_t renewals_ = 0;
  std::map<std::string, std::uint64_t> failures_;
  bool broken_ = false;              // it was told that it does not work, and not yet that it works again
  std::string rejection_;            // why the server would not renew it, as a renewal of ours found
  bool just_rejected_ = false;       // and the store has not been looked at since
  bool just_renewed_ = false;        // by a renewal of ours, and the store has not been looked at since
  std::optional<UnixMs> rejected_;   // the end of its access token: the store may have no room to say so
  std::int64_t warned_ = INT64_MAX;  // of the login's end: the shortest notice given, in milliseconds
  std::deque<Event> events_;
};

}  // namespace claude_init::keep
