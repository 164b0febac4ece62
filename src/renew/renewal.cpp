#include "renew/renewal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "lock/cli_locks.h"
#include "log/log.h"
#include "login/merge.h"
#include "renew/environment.h"
#include "renew/verdict.h"
#include "store/layout.h"
#include "store/provenance.h"
#include "store/rejection.h"
#include "store/sealed.h"
#include "store/state_file.h"
#include "sync/capture.h"
#include "sync/prepare.h"
#include "sync/settle.h"
#include "user/privileges.h"

namespace claude_init::renew {
namespace {

constexpr const char* kDirectory = "renewal";
constexpr const char* kConfig = "config";
constexpr const char* kHome = "home";
constexpr const char* kGiven = "given";
constexpr std::size_t kMaxLogin = std::size_t{1} << 20;
// What the CLI writes beside the login, and room for the store's own transaction. With less the new login
// might find no room when the old one is spent already.
constexpr std::uint64_t kNeededBytes = std::uint64_t{4} << 20;

using Kind = Outcome::Kind;

Outcome failed(const Error& error) {
  return {error.kind == ErrorKind::busy ? Kind::busy : Kind::failed, error.message(), error.remedy, "store"};
}

std::string path_of(const store::Store& store, std::string_view name) {
  return fs::join(fs::join(fs::join(store.path(), store::kPrivateDir), kDirectory), name);
}

/// A file that we or the command have written; nothing where it is missing, no file, or no login by its size.
/// Errors are the system's: then its content is not known.
Result<std::optional<Secret>> read_login(int directory, std::string_view name) {
  std::optional<Secret> login;
  const auto file = fs::open_regular(directory, name, fs::Links::refuse);
  if (!file && (file.error().number == ENOENT || file.error().number == ELOOP || file.error().number == 0))
    return login;
  if (!file) return file.error();
  auto text = fs::read_all(*file, kMaxLogin, name);
  if (!text && text.error().number == 0) return login;
  if (!text) return text.error();
  login.emplace(std::move(*text));
  return login;
}

std::string login_in_config() {
  return fs::join(kConfig, store::kCredentials);
}

/// The new tokens are still where the command has put them.
bool is_unpublished(const Outcome& outcome) {
  return outcome.kind == Kind::failed || outcome.kind == Kind::busy;
}

/// In the forked child: async-signal-safe; 0 or errno.
/// 1. The store's owner.
/// 2. Nothing of the session's terminal or pipes: what it says is kept.
/// 3. In the renewal's own directory: the command's files are not looked for in the session's.
/// 4. The lock lives as long as the command. Where it cannot be inherited, the command ends with us.
int become_renewer(const std::function<int()>& drop, int null, int output, int directory, int lock) {
  if (const int error = drop(); error != 0) return error;  // 1
  if (::dup2(null, STDIN_FILENO) < 0) return errno;        // 2
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) {
    if (::dup2(output, stream) < 0) return errno;
  }
  if (::fchdir(directory) != 0) return errno;                                // 3
  if (lock < 0) return ::prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 ? 0 : errno;  // 4
  return ::fcntl(lock, F_SETFD, 0) == 0 ? 0 : errno;
}

/// Whether no CLI that works in the store itself is at its login, which is sealed then if it has to be. Held
/// for an instant only: while our command runs others must be able to save into the store, and a lock that we
/// leave when we are killed keeps CLIs waiting.
Result<void> settle_login(const store::Store& store, std::string_view purpose) {
  const auto lock = lock::Lock::acquire(store, "store", purpose, Milliseconds(0));
  if (!lock) return lock.error();
  if (auto settled = sync::settle(store, *lock); !settled) return settled;
  const auto locks = lock::CliLocks::take(store.tree(), lock::CliLocks::What::login, lock->patience_ends());
  return locks ? Result<void>() : locks.error();
}

bool is_executed(const Ended& ended) {
  return ended.change.kind != loop::ChildChange::Kind::exited ||
         (ended.change.number != 126 && ended.change.number != 127);
}

}  // namespace

std::optional<Outcome> check_home(const store::Store& store) {
  const auto own = store::check_identity(store);
  if (own) return std::nullopt;
  const bool copied = own.error().kind == ErrorKind::usage;
  return copied ? Outcome{Kind::refused, own.error().message(), own.error().remedy, "copied"}
                : failed(own.error());
}

/// 1. What a renewal has left. One that runs now is its own affair.
/// 2. The rest.
Result<void> settle(const store::Store& store, std::string_view purpose, Milliseconds wait) {
  if (!store.options().seal) return Done{};
  // 1.
  const bool left = [&] {
    const fs::ActAs as(store.owner());
    struct stat st {};
    const std::string directory = fs::join(store::kPrivateDir, kDirectory);
    return ::fstatat(store.fd(), directory.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0;
  }();
  if (left) {
    const auto right = Renewal::take_right(store, purpose, wait);
    if (!right && right.error().kind != ErrorKind::busy) return right.error();
  }
  // 2.
  if (sync::is_settled(store)) return Done{};
  const auto lock = lock::Lock::acquire(store, "store", purpose, wait);
  return lock ? sync::settle(store, *lock) : Result<void>(lock.error());
}

/// 1. The lock: busy means that another process renews, and the store will change.
/// 2. What an earlier renewal that was cut short has left: if it has new tokens, they are published.
/// 3. The store's login, now that no other claude-init can renew it: another one than the one that is due
/// needs nothing. A CLI that works in the store itself and holds its own locks may be renewing it: busy.
/// 4. Whether this store is where it was made, and has room for what is to come: afterwards the old token is
///    spent.
/// 5. The directory in which the command will run.
std::variant<Renewal, Outcome> Renewal::begin(const std::string& path, const Secret& due,
                                              std::string_view purpose, const store::StoreOptions& how) {
  // 1.
  auto store = store::Store::open(path, how);
  if (!store) return failed(store.error());
  if (!store->options().seal && store::is_sealed(*store)) {
    const Error sealed = store::needs_key(*store, "its login cannot be renewed");
    return Outcome{Kind::refused, sealed.message(), sealed.remedy, "sealed"};
  }
  auto lock = lock::Lock::acquire(*store, "renewal", purpose, Milliseconds(0));
  if (!lock) return failed(lock.error());
  Renewal renewal(std::move(*store), std::move(*lock));
  // 2.
  if (auto recovered = renewal.recover()) return *recovered;
  // 3.
  if (const auto free = settle_login(renewal.store_, purpose); !free) return failed(free.error());
  const store::StateFile login = store::read_login(renewal.store_);
  if (login.problem) return failed(*login.problem);
  if (!login.text || !(login::access_token(login.text->reveal()) == due))
    return Outcome{Kind::not_due, {}, {}};
  const auto parsed = login::parse(login.text->reveal());
  if (!parsed || !parsed->has_refresh_token) return Outcome{Kind::not_due, {}, {}};
  // 4.
  if (auto away = check_home(renewal.store_)) return *away;
  if (const auto room = sync::prepare(renewal.store_, kNeededBytes); !room) return failed(room.error());
  // 5.
  if (const auto made = renewal.make_directory(login.text->reveal()); !made) return failed(made.error());
  return renewal;
}

Result<lock::Lock> Renewal::take_right(const store::Store& store, std::string_view purpose,
                                       Milliseconds wait) {
  auto lock = lock::Lock::acquire(store, "renewal", purpose, wait);
  if (!lock) return lock.error();
  auto same = store::Store::open(store.path(), store.options());
  if (!same) return same.error();
  Renewal renewal(std::move(*same), std::move(*lock));
  const auto recovered = renewal.recover();
  if (recovered && is_unpublished(*recovered)) {
    return make_error(ErrorKind::busy, "a renewed login could not be saved: " + recovered->reason,
                      recovered->remedy);
  }
  return std::move(renewal.lock_);
}

/// 1. The login as it is: recover() needs it to tell what the rest was made from. Of a sealed store without
///    what is sealed there, which is not needed for that.
/// 2. Claude's login with its deadline passed, in a configuration directory: no other one is the command's.
/// 3. A home, since the CLI wants one.
Result<void> Renewal::make_directory(std::string_view login) {
  const auto alone = login::without_others(login);
  const auto due = alone ? login::with_deadline_passed(alone->reveal()) : alone.error();
  if (!due) return due.error_with("renew the login");
  null_.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!null_.valid()) return system_error(errno, "open /dev/null");
  const fs::ActAs as(store_.owner());
  who_ = as.effective() ? store_.owner() : fs::current_identity();
  auto directory = fs::make_directory(private_.get(), kDirectory, 0700);
  if (!directory) return directory.error();
  // 1.
  auto given = store_.options().seal ? login::without_refresh_token(login) : Secret(std::string(login));
  if (!given) return given.error();
  auto written = fs::write_file(directory->get(), kGiven, given->reveal(), 0600, fs::Sync::yes);
  if (!written) return written;
  // 2.
  const auto config = fs::make_directory(directory->get(), kConfig, 0700);
  if (!config) return config.error();
  written =
      fs::write_file(config->get(), std::string(store::kCredentials), due->reveal(), 0600, fs::Sync::yes);
  if (!written) return written;
  // 3.
  const auto home = fs::make_directory(directory->get(), kHome, 0700);
  if (!home) return home.error();
  for (const int fd : {config->get(), directory->get(), private_.get()}) {
    if (auto synced = fs::sync_to_disk(fd, "the renewal's directory"); !synced) return synced;
  }
  struct stat st {};
  if (::fstat(directory->get(), &st) != 0) return system_error(errno, "look at the renewal's directory");
  made_ = st.st_mtim;
  directory_ = std::move(*directory);
  given_ = std::move(*given);
  return Done{};
}

/// Nothing where the renewal can go on.
std::optional<Outcome> Renewal::recover() {
  const fs::ActAs as(store_.owner());
  auto own = fs::open_beneath(store_.fd(), store::kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!own) return failed(own.error());
  private_ = std::move(*own);
  auto left = fs::open_beneath(private_.get(), kDirectory, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!left) return left.error().number == ENOENT ? std::optional<Outcome>() : failed(left.error());
  directory_ = std::move(*left);
  std::optional<Outcome> outcome;
  auto given = read_login(directory_.get(), kGiven);
  if (!given) return failed(given.error());
  if (*given) given_ = std::move(**given);
  const auto made = this->made();
  if (!made) return failed(made.error());
  if (*made == Made::new_tokens) {
    log::warn("a renewal was cut short: what it left is used", {{"store", store_.path()}});
    outcome = publish();
  }
  if (*made == Made::nothing) remember_unanswered(nullptr);
  if (outcome && is_unpublished(*outcome)) return outcome;
  if (const auto removed = remove_directory(); !removed) return failed(removed.error());
  return outcome && outcome->kind == Kind::renewed ? outcome : std::nullopt;
}

/// With the owner's rights, whose files they are: what cannot be read is not to be taken for nothing.
Result<Renewal::Made> Renewal::made() const {
  const fs::ActAs as(store_.owner());
  const auto file = read_login(directory_.get(), login_in_config());
  if (!file) return file.error_with("see what the renewing command has made");
  const std::optional<Secret>& now = *file;
  if (!now) return Made::useless;
  const auto login = login::parse(now->reveal());
  if (!login) return Made::useless;
  if (login->blanked) return Made::blank;
  if (!login->has_access_token || !login->has_refresh_token) return Made::useless;
  const bool same = login::access_token(now->reveal()) == login::access_token(given_.reveal());
  return same ? Made::nothing : Made::new_tokens;
}

/// Whether the store has the login that the command was given.
Result<bool> Renewal::still_has_given() const {
  const store::StateFile login = store::read_login(store_);
  if (login.problem) return *login.problem;
  return login.text && login::access_token(login.text->reveal()) == login::access_token(given_.reveal());
}

/// The store decides, as with every login that is put into it. What it would not have although it still has
/// what this was made from (another account's) is of no use to anybody.
Outcome Renewal::publish() const {
  if (const auto held = lock_.verify(); !held) return failed(held.error());
  const auto lock = lock::Lock::acquire(store_, "store", "renewal", Milliseconds(0));
  if (!lock) return failed(lock.error());
  const Secret given = login::access_token(given_.reveal());
  sync::CaptureOptions capture;
  capture.extent = store::Extent::login;
  capture.filter.exclude = {std::string(store::kClaudeJson)};
  capture.rules.given_access_token = given.reveal();
  capture.rules.renewed = true;
  capture.reason = "renewal";
  const auto from = store::state_in_config_dir(path_of(store_, kConfig));
  const auto report = sync::capture(from, store_.owner(), store_, *lock, capture);
  if (!report) return failed(report.error());
  if (report->login.choice == login::Choice::take) return {Kind::renewed, {}, {}};
  const auto still = still_has_given();
  if (!still) return failed(still.error());
  if (!*still) return {Kind::not_due, {}, {}};
  return {Kind::rejected, "what the renewal made is not saved: " + report->login.reason, {}, "not-saved"};
}

/// Tokens are overwritten first.
Result<void> Renewal::remove_directory() {
  const fs::ActAs as(store_.owner());
  for (const std::string& name : {std::string(kGiven), login_in_config()}) {
    fs::overwrite_file(directory_.get(), name);
  }
  directory_.reset();
  return fs::remove_tree(private_.get(), kDirectory);
}

supervise::Command Renewal::command(const std::vector<std::string>& words,
                                    const std::vector<std::string>& environment, int output) const {
  supervise::Command command;
  cli::Words parts = cli::split(words);
  command.argv = std::move(parts.argv);
  command.env = environment_for_renewal(environment, parts.variables);
  command.env.push_back("HOME=" + path_of(store_, kHome));
  command.env.push_back("CLAUDE_CONFIG_DIR=" + path_of(store_, kConfig));
  user::Account owner;
  owner.uid = who_.uid;
  owner.gid = who_.gid;
  command.before_exec = [drop = user::drop_to_helper(owner), null = null_.get(),
                         output = output < 0 ? null_.get() : output, directory = directory_.get(),
                         lock = lock_.fd()] { return become_renewer(drop, null, output, directory, lock); };
  return command;
}

/// 1. New tokens: into the store.
/// 2. None, and the login blanked: the server has rejected it, or an earlier renewal has spent it. That is
///    remembered, and not published.
/// 3. Anything else has changed nothing. What cannot be read stays, to be recovered.
Outcome Renewal::finish(const Tool& tool, const Ended& ended) {
  Outcome outcome;
  const auto made = this->made();
  if (!made) return failed(made.error());
  switch (*made) {
    case Made::new_tokens:  // 1
      outcome = publish();
      break;
    case Made::blank:  // 2
      if (const auto still = still_has_given(); !still) {
        outcome = failed(still.error());
      } else {
        outcome = *still ? blanked() : Outcome{Kind::not_due, {}, {}};
      }
      break;
    case Made::useless:
      outcome = {Kind::failed, "the renewing command left no login that can be used", {}, "useless"};
      break;
    case Made::nothing:  // 3
      outcome = nothing_made(tool, ended);
      break;
  }
  if (outcome.kind != Kind::renewed && outcome.kind != Kind::not_due) outcome.said = ended.said;
  if (outcome.kind == Kind::rejected) {
    remember_rejection(outcome.cause == kBurnt ? store::Rejection::burnt : store::Rejection::by_server);
  }
  if (is_unpublished(outcome) && *made == Made::new_tokens) return outcome;
  if (const auto removed = remove_directory(); !removed) log::failure(log::Level::warn, removed.error());
  return outcome;
}

void Renewal::abandon() {
  if (const auto removed = remove_directory(); !removed) log::failure(log::Level::warn, removed.error());
}

/// Only the CLI's lock is made and removed beside what we have put there.
bool Renewal::has_asked() const {
  const fs::ActAs as(store_.owner());
  struct stat st {};
  if (::fstat(directory_.get(), &st) != 0) return true;
  return st.st_mtim.tv_sec != made_.tv_sec || st.st_mtim.tv_nsec != made_.tv_nsec;
}

/// What has asked may have spent the token, however it ended: the next one finds out.
Outcome Renewal::nothing_made(const Tool& tool, const Ended& ended) const {
  const bool asked = is_executed(ended) && has_asked();
  if (asked) remember_unanswered(&tool);
  return why_nothing(tool, ended, asked);
}

/// A command that has cost a login does not get another one; the default one has no better in its place.
Outcome Renewal::blanked() const {
  store::RenewerNote note = this->note();
  const auto login = login::parse(given_.reveal());
  if (!login || !note.is_unanswered(*login) || login::has_ended(*login, unix_now()))
    return rejected_by_server(given_);
  const store::RenewerNote::Unanswered by = *std::exchange(note.unanswered, std::nullopt);
  if (!by.tool.empty()) note.burners.push_back(by.tool);
  remember(note);
  return burnt(by);
}

void Renewal::remember(const store::RenewerNote& note) const {
  if (const auto written = store::write_renewer_note(store_, note); !written)
    log::failure(log::Level::warn, written.error_with("remember what renewed the login"));
}

/// By none: by a renewal that was cut short, of which nothing else is known.
void Renewal::remember_unanswered(const Tool* tool) const {
  const auto login = login::parse(given_.reveal());
  if (!login) return;
  store::RenewerNote note = this->note();
  if (note.is_unanswered(*login)) return;
  note.unanswered = {login->expires_at, login->account_uuid,
                     tool != nullptr && !tool->is_default() ? tool->name() : std::string(),
                     tool != nullptr ? tool->shown() : std::string()};
  remember(note);
}

void Renewal::remember_rejection(store::Rejection why) const {
  const auto login = login::parse(given_.reveal());
  if (!login) return;
  const auto recorded = store::record_rejection(store_, *login, why, unix_now());
  if (!recorded) log::failure(log::Level::warn, recorded.error_with("remember that the login was rejected"));
}

}  // namespace claude_init::renew
