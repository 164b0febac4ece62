#include "renew/renewer.h"

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "fs/identity.h"
#include "lock/lock.h"
#include "log/last_words.h"
#include "log/log.h"
#include "login/login.h"
#include "renew/program.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/rejection.h"
#include "store/sealed.h"
#include "store/state_file.h"
#include "store/store.h"

namespace claude_init::renew {
namespace {

constexpr unsigned kLinesShown = 3;

/// 0 to 1.
double random_part() {
  return static_cast<double>(static_cast<std::uint32_t>(random_number())) / 4294967296.0;
}

}  // namespace

Renewer::Renewer(const supervise::Loop& loop, Options options)
    : loop_(loop), options_(std::move(options)), timer_(loop.io), helper_(loop), query_(loop) {}

/// A store that cannot be read now keeps the timer as it is: the renewal will say what is wrong.
void Renewer::check_now() {
  const auto store = store::Store::open(options_.store, options_.how);
  if (!store) return arm();
  if (!tool_.version && cli::is_claude(options_.command))
    tool_.version = cli::parse_version(store::read_renewer_note(store->tree()).version);
  const store::StateFile file = store::read_login(*store);
  if (file.problem) return arm();
  login::Judged judged = login::judge_file(file.text ? file.text->reveal() : "{}", unix_now());
  const std::optional<login::Login>& login = judged.login;
  const bool renewable = login && login->has_refresh_token;
  if (renewable && options_.keeps) learn_version(*store);
  Secret token = renewable ? std::move(judged.access_token) : Secret();
  if (token == due_) return arm();
  due_ = std::move(token);
  asked_.reset();
  history_ = {};
  given_up_ = false;
  if (renewable) {
    const UnixMs now = unix_now();
    deadlines_ = {login->expires_at, file.st ? std::min(unix_ms(file.st->st_mtim), now) : now};
    // A deadline that is not credible is put to the test: the renewal proves the login, or ends it.
    if (!login::is_credible(deadlines_.expires_at, deadlines_.issued_at)) {
      const auto proven = store::is_proven(*store, file.text->reveal());
      if (!proven || !*proven) deadlines_.expires_at = deadlines_.issued_at + login::kLongestAccessToken;
    }
    jitter_ = random_part();
    const store::Rejection why = store::rejection_of(store->tree(), *login);
    if (why != store::Rejection::none) {
      const Outcome rejected{Outcome::Kind::rejected,
                             why == store::Rejection::burnt
                                 ? "a renewal spent its refresh token and did not save the new one"
                                 : "the server rejected it some time ago",
                             {},
                             why == store::Rejection::burnt ? kBurnt : "rejected"};
      if (!options_.on_outcome) log_outcome(rejected);
      return concluded(rejected);
    }
  }
  arm();
}

void Renewer::renew_now() {
  check_now();
  if (due_.empty() || given_up_ || renewal_) return;
  timer_.cancel();
  renew(std::nullopt);
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
  const UnixMs due = next_try(deadlines_, history_, options_.renew_before, unix_now(), jitter_);
  const bool failing = history_.failures > 0 || history_.busy > 0;
  if (failing || options_.check_every.count() == 0) return due;
  return std::min(due, deadlines_.issued_at + options_.check_every.count());
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
  options_.turns->ask([this, asked = std::weak_ptr<int>(asked_)](RenewalQueue::Turn turn) {
    if (asked.expired()) return;
    asked_.reset();
    renew(std::move(turn));
  });
}

/// 1. The lock, the store's login once more, the directory.
/// 2. Which version of the CLI it is: a token is spent only by one that saves the next.
/// 3. The command. Everything else waits for its end.
/// 4. What it came to. Another command than the default one that asked and saved nothing may have spent the
///    token: the default one finds out at once, and it never runs again if so.
void Renewer::renew(std::optional<RenewalQueue::Turn> turn) {
  // 1.
  auto begun = Renewal::begin(options_.store, due_, options_.purpose, options_.how);
  if (const auto* outcome = std::get_if<Outcome>(&begun)) return tried(*outcome);
  turn_.reset();
  if (turn) turn_.emplace(std::move(*turn));
  renewal_.emplace(std::move(std::get<Renewal>(begun)));
  unsure_.reset();
  tool_ = {options_.command, std::nullopt};
  ask_version();  // 2.
}

/// Once, where somebody looks after the login for a long time: that its version is not fit is told before it
/// matters. `store` has a login.
void Renewer::learn_version(const store::Store& store) {
  if (std::exchange(learned_, true) || !cli::is_claude(options_.command)) return;
  const auto program = program_of(options_.command, options_.environment);
  if (!program) return;
  user::Account who;
  {
    const fs::ActAs as(store.owner());
    const fs::Identity owner = as.effective() ? store.owner() : fs::current_identity();
    who.uid = owner.uid;
    who.gid = owner.gid;
  }
  query_.ask(*program, options_.environment, who,
             [this, program = *program](const auto& version) { learned(program, version); });
}

/// What a renewal has found out meanwhile is the same, or newer.
void Renewer::learned(const store::RenewerNote::Program& program,
                      const std::optional<cli::Version>& version) {
  if (!version || renewal_ || stopped_) return;
  tool_ = {options_.command, version};
  note_version(program);
  log::info("renews with Claude Code", {{"store", options_.store}, {"version", cli::described(*version)}});
  if (const auto unfit = why_unfit(tool_, {}))
    log::warn("the login will not be renewed", {{"reason", unfit->reason}, {"remedy", unfit->remedy}});
}

/// For those who look at the store; where somebody renews it just now, that one does it.
void Renewer::note_version(const store::RenewerNote::Program& program) {
  const auto store = store::Store::open(options_.store, options_.how);
  if (!store) return;
  const auto lock = lock::Lock::acquire(*store, "renewal", options_.purpose, Milliseconds(0));
  if (!lock) return;
  store::RenewerNote note = store::read_renewer_note(store->tree());
  const std::string version = cli::text_of(*tool_.version);
  if (note.program == program && note.version == version && note.keeper == version) return;
  note.program = program;
  note.version = note.keeper = version;
  if (const auto written = store::write_renewer_note(*store, note); !written)
    log::failure(log::Level::debug, written.error_with("remember the CLI's version"));
}

/// The file that was asked before is not asked again.
void Renewer::ask_version() {
  if (!cli::is_claude(tool_.words)) return run();
  const auto program = program_of(tool_.words, options_.environment);
  if (!program) return run();
  const store::RenewerNote note = renewal_->note();
  const bool keeps_up = !options_.keeps || note.keeper == note.version;
  if (note.program == *program && !note.version.empty() && keeps_up && is_itself(*program)) {
    tool_.version = cli::parse_version(note.version);
    return run();
  }
  spawn({program->path, "--version"}, kVersionLimit,
        [this, program = *program](const loop::ChildChange&) { take_version(program); });
}

void Renewer::take_version(const store::RenewerNote::Program& program) {
  tool_.version = version_in(helper_.output());
  if (tool_.version) {
    store::RenewerNote note = renewal_->note();
    note.program = program;
    note.version = cli::text_of(*tool_.version);
    if (options_.keeps) note.keeper = note.version;
    renewal_->remember(note);
  }
  if (!stopped_) return run();
  std::exchange(renewal_, std::nullopt)->abandon();
  tried({Outcome::Kind::busy, "it is being stopped", {}});
}

void Renewer::run() {
  if (const auto unfit = why_unfit(tool_, renewal_->note())) {
    std::exchange(renewal_, std::nullopt)->abandon();
    return tried(*unfit);
  }
  // 3.
  log::debug("renewing the login", {{"store", options_.store}, {"command", tool_.shown()}});
  spawn(tool_.words, options_.time_limit, [this](const loop::ChildChange& change) { ended(change); });
}

void Renewer::ended(const loop::ChildChange& change) {
  const std::string said = log::last_words(helper_.output(), kLinesShown);
  const Outcome outcome =
      std::exchange(renewal_, std::nullopt)->finish(tool_, {change, helper_.timed_out(), said});
  // 4.
  using Kind = Outcome::Kind;
  if (unsure_) {
    const bool found_out = outcome.kind == Kind::renewed || outcome.kind == Kind::rejected;
    return tried(found_out ? outcome : *unsure_);
  }
  if (outcome.cause == kNoAnswer && !tool_.is_default() && !stopped_) return find_out(outcome);
  tried(outcome);
}

void Renewer::find_out(const Outcome& unsure) {
  auto begun = Renewal::begin(options_.store, due_, options_.purpose, options_.how);
  if (std::holds_alternative<Outcome>(begun)) return tried(unsure);
  unsure_ = unsure;
  renewal_.emplace(std::move(std::get<Renewal>(begun)));
  tool_ = {};
  ask_version();
}

void Renewer::spawn(const std::vector<std::string>& words, Milliseconds limit, Helper::Then then) {
  helper_.run([&](int output) { return renewal_->command(words, options_.environment, output); }, limit,
              std::move(then));
}

void Renewer::tried(const Outcome& outcome) {
  if (!options_.on_outcome) log_outcome(outcome);
  turn_.reset();
  show_output(outcome);
  concluded(outcome);
  if (options_.on_outcome) options_.on_outcome(outcome);
}

/// Once, as long as it stays the same.
void Renewer::show_output(const Outcome& outcome) {
  if (outcome.kind == Outcome::Kind::renewed) shown_output_.clear();
  if (outcome.said.empty() || outcome.said == shown_output_) return;
  shown_output_ = outcome.said;
  log::warn(tool_.is_default() ? "the renewing command said (its request goes nowhere, on purpose)"
                               : "the renewing command said",
            {{"store", options_.store}, {"command", tool_.shown()}, {"output", printable(outcome.said)}});
}

/// A token that has expired when it comes (a clock that is far off) is not renewed again at once.
void Renewer::concluded(const Outcome& outcome) {
  last_ = outcome;
  jitter_ = random_part();
  history_.busy = outcome.kind == Outcome::Kind::busy ? history_.busy + 1 : 0;
  given_up_ = outcome.kind == Outcome::Kind::rejected || outcome.kind == Outcome::Kind::refused;
  if (outcome.kind == Outcome::Kind::renewed || outcome.kind == Outcome::Kind::not_due) check_now();
  const bool in_vain = outcome.kind == Outcome::Kind::renewed && deadlines_.expires_at <= unix_now();
  if (outcome.kind == Outcome::Kind::failed || in_vain) {
    history_.failures += 1;
    history_.last_failure = unix_now();
  }
  arm();
}

void Renewer::log_outcome(const Outcome& outcome) {
  switch (outcome.kind) {
    case Outcome::Kind::renewed:
      return log::info("the login has been renewed", {{"store", options_.store}});
    case Outcome::Kind::not_due:
      return log::debug("the login has been renewed by another process", {{"store", options_.store}});
    case Outcome::Kind::busy:
      return log::debug("another process renews the login", {{"reason", outcome.reason}});
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
                        {{"reason", outcome.reason}, {"do", outcome.remedy}, {"type", options_.log_in()}});
  }
}

}  // namespace claude_init::renew
