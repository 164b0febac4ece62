#include "renew/renewer.h"

#include <signal.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

#include "log/log.h"
#include "login/login.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/rejection.h"
#include "store/state_file.h"
#include "store/store.h"

namespace claude_init::renew {
namespace {

// The CLI needs 3 s to save what it is fetching.
constexpr Milliseconds kGrace{5'000};

/// 0 to 1. Where there is no entropy yet all wait equally long, and the lock sorts them out.
double random_part() {
  std::uint32_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) != sizeof bits) return 0.5;
  return static_cast<double>(bits) / 4294967296.0;
}

UnixMs modified(const struct stat& st) {
  return UnixMs{st.st_mtim.tv_sec} * 1000 + st.st_mtim.tv_nsec / 1'000'000;
}

}  // namespace

Renewer::Renewer(const supervise::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)), timer_(loop.io), limit_(loop.io) {}

/// A store that cannot be read now keeps the timer as it is: the renewal will say what is wrong.
void Renewer::look() {
  const auto store = store::Store::open(options_.store);
  if (!store) return arm();
  const store::StateFile file = store::read_state_file(store->tree(), store::kCredentials);
  if (file.problem) return arm();
  login::Judged judged = login::judge_file(file.text ? file.text->reveal() : "{}", unix_now());
  const std::optional<login::Login>& login = judged.login;
  const bool renewable = login && login->has_refresh_token;
  Secret token = renewable ? std::move(judged.access_token) : Secret();
  if (token == due_) return arm();
  due_ = std::move(token);
  asked_.reset();
  history_ = {};
  given_up_ = false;
  if (renewable) {
    const UnixMs now = unix_now();
    deadlines_ = {login->expires_at, file.st ? std::min(modified(*file.st), now) : now};
    // What nobody can have been given is found out: the renewal proves the login, or ends it.
    if (!login::is_credible(deadlines_.expires_at, deadlines_.issued_at) &&
        !store::is_proven(*store, file.text->reveal()))
      deadlines_.expires_at = deadlines_.issued_at + login::kLongestAccessToken;
    jitter_ = random_part();
    if (store::is_rejected(store->tree(), *login)) {
      const Outcome rejected{Outcome::Kind::rejected, "the server rejected it some time ago", {}};
      if (!options_.on_outcome) tell(rejected);
      return concluded(rejected);
    }
  }
  arm();
}

void Renewer::try_again() {
  if (last_ && last_->kind == Outcome::Kind::refused) given_up_ = false;
  history_ = {};
  arm();
}

void Renewer::stop() {
  stopped_ = true;
  asked_.reset();
  timer_.cancel();
}

std::optional<UnixMs> Renewer::next() const {
  if (stopped_ || renewal_ || due_.empty() || given_up_) return std::nullopt;
  return next_try(deadlines_, history_, options_.renew_before, unix_now(), jitter_);
}

void Renewer::arm() {
  timer_.cancel();
  const auto at = next();
  if (!at || asked_) return;
  if (log::enabled(log::Level::debug)) {
    log::debug("renewal", {{"store", options_.store}, {"at", format_iso8601(*at)}});
  }
  armed_for_ = *at;
  if (const auto armed = timer_.at(*at, [this] { on_time(); }); !armed) {
    log::failure(log::Level::warn, armed.error_with("the login will not be renewed"));
  }
}

void Renewer::on_time() {
  if (unix_now() < armed_for_) return arm();  // the clock was set
  if (options_.turns == nullptr) return renew(std::nullopt);
  asked_ = std::make_shared<int>();
  options_.turns->ask([this, asked = std::weak_ptr<int>(asked_)](Turns::Turn turn) {
    if (asked.expired()) return;
    asked_.reset();
    renew(std::move(turn));
  });
}

/// 1. The lock, the store's login once more, the directory.
/// 2. The command. Everything else waits for its end.
void Renewer::renew(std::optional<Turns::Turn> turn) {
  // 1.
  auto begun = Renewal::begin(options_.store, due_, options_.purpose, options_.how);
  if (const auto* outcome = std::get_if<Outcome>(&begun)) return tried(*outcome);
  turn_.reset();
  if (turn) turn_.emplace(std::move(*turn));
  renewal_.emplace(std::move(std::get<Renewal>(begun)));
  // 2.
  log::debug("renewing the login", {{"store", options_.store}, {"command", options_.command.front()}});
  spawn();
}

void Renewer::spawn() {
  const auto spawned =
      supervise::spawn(loop_.inherited, renewal_->command(options_.command, options_.environment), -1);
  if (!spawned) {
    log::failure(log::Level::warn, spawned.error());
    supervise::ChildChange none;
    none.number = 126;
    return tried(std::exchange(renewal_, std::nullopt)->finish({none, false}));
  }
  limit_time(spawned->pid);
  loop_.reaper.watch(
      spawned->pid, [this, alive = std::weak_ptr<int>(alive_)](const supervise::ChildChange& change) {
        if (change.kind == supervise::ChildChange::Kind::stopped || alive.expired() || !renewal_) return;
        limit_.cancel();
        tried(std::exchange(renewal_, std::nullopt)->finish({change, timed_out_}));
      });
}

/// The command leads a group of its own; what it started ends with it.
void Renewer::limit_time(pid_t pid) {
  timed_out_ = false;
  limit_.expires_after(options_.time_limit);
  limit_.async_wait([this, pid](const boost::system::error_code& failure) {
    if (failure || !renewal_) return;
    timed_out_ = true;
    ::kill(-pid, SIGTERM);
    limit_.expires_after(kGrace);
    limit_.async_wait([this, pid](const boost::system::error_code& over) {
      if (!over && renewal_) ::kill(-pid, SIGKILL);
    });
  });
}

void Renewer::tried(const Outcome& outcome) {
  if (!options_.on_outcome) tell(outcome);
  turn_.reset();
  concluded(outcome);
  if (options_.on_outcome) options_.on_outcome(outcome);
}

/// A token that has expired when it comes (a clock that is far off) is not renewed again at once.
void Renewer::concluded(const Outcome& outcome) {
  using Kind = Outcome::Kind;
  last_ = outcome;
  jitter_ = random_part();
  history_.busy = outcome.kind == Kind::busy ? history_.busy + 1 : 0;
  given_up_ = outcome.kind == Kind::rejected || outcome.kind == Kind::refused;
  if (outcome.kind == Kind::renewed || outcome.kind == Kind::not_due) look();
  const bool in_vain = outcome.kind == Kind::renewed && deadlines_.expires_at <= unix_now();
  if (outcome.kind == Kind::failed || in_vain) {
    history_.failures += 1;
    history_.last_failure = unix_now();
  }
  arm();
}

void Renewer::tell(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::renewed:
      return log::info("the login has been renewed", {{"store", options_.store}});
    case Outcome::Kind::not_due:
      return log::debug("the login has been renewed by somebody else", {{"store", options_.store}});
    case Outcome::Kind::busy:
      return log::debug("somebody else renews the login", {{"reason", outcome.reason}});
    case Outcome::Kind::failed:
      return log::warn("the login could not be renewed; it will be tried again",
                       {{"reason", outcome.reason},
                        {"remedy", outcome.remedy},
                        {"expires", format_utc(deadlines_.expires_at)}});
    case Outcome::Kind::refused:
      return log::warn("the login is not renewed from here",
                       {{"reason", outcome.reason}, {"remedy", outcome.remedy}});
    case Outcome::Kind::rejected:
      return log::error("the login is dead and cannot be renewed: log in again",
                        {{"reason", outcome.reason}, {"type", options_.log_in()}});
  }
}

}  // namespace claude_init::renew
