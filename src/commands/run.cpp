#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "access/renewal.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "access/store_lock.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "commands/commands.h"
#include "follow/coherence.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "fs/newer_calls.h"
#include "health/health.h"
#include "lock/lock.h"
#include "log/log.h"
#include "options/store_path.h"
#include "run/command.h"
#include "run/login.h"
#include "run/sessions.h"
#include "store/inspect.h"
#include "store/project.h"
#include "store/published.h"
#include "store/store.h"
#include "supervise/terminal.h"
#include "sync/capture.h"
#include "sync/prepare.h"
#include "sync/restore.h"
#include "ui/exit_status.h"
#include "ui/progress_line.h"
#include "ui/refusal.h"
#include "ui/remedies.h"
#include "user/account.h"
#include "user/privileges.h"
#include "workcopy/workcopy.h"

namespace claude_init::commands {
namespace {

constexpr std::uint64_t kBlock = 4096;
constexpr std::uint64_t kMany = 256;  // files
constexpr Milliseconds kWatchAfter{50};

/// Root that may not change its user stays root, and the CLI does not let root skip permission prompts.
void warn_if_stuck_as_root(const user::Account& account) {
  if (account.uid != 0 || user::can_change_user()) return;
  constexpr uid_t kUsual = 1000;
  log::warn("the command runs as root, since root may not change its user here",
            {{"remedy", ui::how_to_become({kUsual, kUsual})}});
}

/// What nearly every job is about is the caller's own repository.
void warn_of_foreign_directory(const user::Account& account) {
  struct stat st {};
  const auto mounts = fs::in_container() ? fs::read_mounts() : Result<fs::Mounts>(fs::Mounts());
  if (!mounts || ::stat(".", &st) != 0 || st.st_uid == account.uid || st.st_uid == 0) return;
  const std::string directory = run::working_directory();
  const fs::Mount* mount = fs::mount_of(*mounts, directory);
  const bool mounted = mount != nullptr && mount->mount_point != "/" && !mount->read_only;
  const fs::ActAs as_target(account.identity());
  if (!mounted || fs::access_by_rights(AT_FDCWD, ".", W_OK | X_OK) == 0) return;
  log::warn("the command cannot write to the directory it works in",
            {{"path", directory},
             {"user", account.uid},
             {"remedy", fmt::format("run as its owner: -e CLAUDE_INIT_USER={}:{}", st.st_uid, st.st_gid)}});
}

/// Where there is a store that can be read: also without a login in it, for the settings.
Result<std::optional<store::Store>> open_store(const store::Inspection& inspection,
                                               const store::StoreOptions& how) {
  std::optional<store::Store> store;
  if (inspection.state == login::State::no_store || inspection.state == login::State::unreadable)
    return store;
  auto opened = store::Store::open(inspection.path, how);
  if (!opened) return opened.error();
  store = std::move(*opened);
  return store;
}

/// Deny rules and the like are not left out in silence: without them the CLI would do what they forbid.
Result<void> check_binding_files(const std::vector<sync::Skipped>& skipped, const std::string& store) {
  for (const sync::Skipped& each : skipped) {
    if (!store::is_binding_file(each.path)) continue;
    return make_error(
        ErrorKind::invalid,
        fmt::format("{} in {} {}, and the command would run without it", each.path, printable(store),
                    each.reason),
        fmt::format("put the file itself into the store, or take what a link leads to, if that is "
                    "there: --include {0}; or go without: --exclude {0}",
                    each.path));
  }
  return Done{};
}

Result<void> fill(const workcopy::WorkingCopy& copy, const store::Store& store, const user::Account& account,
                  sync::RestoreOptions what, std::optional<sync::Measured>&& measured, bool plain) {
  const SteadyTime start = std::chrono::steady_clock::now();
  ui::ProgressLine progress("filling the working copy", plain);
  what.progress = progress.callback();
  const auto restored = sync::restore(store, copy.state(), account.identity(), what, std::move(measured));
  if (!restored) return restored.error();
  if (auto bound = check_binding_files(restored->skipped, store.path()); !bound) return bound;
  for (const auto& skipped : restored->skipped) {
    log::warn("not in the working copy", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
  log::info("working copy", {{"path", copy.root()},
                             {"files", restored->files},
                             {"bytes", restored->bytes},
                             {"took", took_since(start)}});
  return {};
}

void wipe(workcopy::WorkingCopy& copy, const Deadline& deadline = {}) {
  const auto wiped = copy.wipe(deadline);
  if (wiped) return;
  Error error = wiped.error();
  if (error.kind == ErrorKind::limit) error.what += "; its login is gone, and the next run removes the rest";
  log::failure(log::Level::warn, error);
}

/// An exception (of a loop that cannot be had) leaves no copy behind either.
class WipedOnException {
 public:
  explicit WipedOnException(workcopy::WorkingCopy& copy) : copy_(copy) {}
  ~WipedOnException() {
    if (std::uncaught_exceptions() > before_) wipe(copy_);
  }
  WipedOnException(const WipedOnException&) = delete;
  WipedOnException& operator=(const WipedOnException&) = delete;

 private:
  workcopy::WorkingCopy& copy_;
  const int before_ = std::uncaught_exceptions();
};

/// The store is not full: the copy's place is.
Error no_place(Error error) {
  error.kind = ErrorKind::no_place;
  return error;
}

/// A working copy of what the store has.
struct Filled {
  workcopy::WorkingCopy copy;
  bool has_programs = false;
};

/// What of the store is asked for.
sync::RestoreOptions wanted_of(const options::Run& options) {
  sync::RestoreOptions what;
  what.extent = options.copy == options::Copy::login ? store::Extent::login : store::Extent::all;
  what.refresh_token = options.refresh_token;
  what.filter = options.filter;
  what.limits = options.limits;
  if (options.copy == options::Copy::config) {
    what.filter.history = false;
    what.filter.include.push_back(store::memory_of(run::working_directory()));
  }
  return what;
}

/// Room: what dead runs left behind goes first; their sessions are saved before.
void clear_away(const user::Account& account, const workcopy::Places& places,
                const std::optional<run::KeptSessions>& sessions) {
  if (sessions) sessions->save_leftovers(account, places);
  const std::size_t dead = workcopy::remove_dead_copies(account, places, interrupt::until(SteadyTime::max()));
  if (dead > 0) log::info("removed the working copies of dead runs", {{"count", dead}});
}

/// 1. What the store has, and how much room that takes.
/// 2. Room.
/// 3. The copy, filled.
Result<Filled> prepare_copy(const options::Run& options, const options::Environment& environment,
                            const user::Account& account, const store::Inspection& inspection,
                            std::optional<run::KeptSessions>& sessions) {
  // 1.
  const auto store = open_store(inspection, options.storing.options);
  if (!store) return store.error();
  sync::RestoreOptions what = wanted_of(options);
  sync::Size size;
  std::optional<sync::Measured> found;
  if (*store) {
    auto measured = sync::measure(**store, what);
    if (!measured) return measured.error();
    if (const auto bound = check_binding_files(measured->plan.skipped, inspection.path); !bound)
      return bound.error();
    found = std::move(*measured);
    size = found->size;
  }
  if (sessions) {
    const auto measured = sessions->measure();
    if (!measured) return measured.error();
    size.bytes += measured->bytes;
    size.files += measured->files;
  }
  // 2.
  workcopy::WorkingCopy::Options where;
  where.places = {options.workdir, std::string(environment.get("XDG_RUNTIME_DIR"))};
  if (sessions) where.kind = sessions->kind();
  clear_away(account, where.places, sessions);
  // 3.
  // Half a block more a file on the average, and its directory entry: a block is on the safe side.
  const std::uint64_t bytes = size.bytes + size.files * kBlock;
  where.demand = {bytes, size.has_executables};
  auto copy = workcopy::WorkingCopy::create(account, where);
  if (!copy) return no_place(copy.error());
  auto filled = *store ? fill(*copy, **store, account, what, std::move(found), access::is_plain(environment))
                       : Result<void>();
  if (filled && sessions) filled = sessions->give(*copy, account);
  if (!filled) {
    wipe(*copy);
    const bool full = filled.error().kind == ErrorKind::no_space;
    const Error error = filled.error_with("fill the working copy");
    return full ? no_place(error) : error;
  }
  // From here on we wait, for days perhaps, and need little of what filling a large copy took.
  if (size.files > kMany) ::malloc_trim(0);
  return Filled{std::move(*copy), size.has_executables};
}

/// The lock lives as long as the command, which has the refresh token, even if we are killed.
void keep_lock_over_exec(supervise::Command& command, int lock) {
  if (lock < 0) return;
  command.before_exec = [drop = std::move(command.before_exec), lock] {
    const int failure = drop();
    if (failure != 0) return failure;
    return ::fcntl(lock, F_SETFD, 0) == 0 ? 0 : errno;
  };
}

/// With --refresh-token=copy: what the CLI renewed in the copy, into the store, whose own login that has
/// spent. The login and nothing else. That it is the CLI's work is only the job's word.
Result<sync::CaptureReport> save_login(const workcopy::WorkingCopy& copy, const std::string& path,
                                       const user::Account& account, const options::Storing& storing,
                                       const follow::Coherence::Save& save) {
  auto store = store::Store::open(path, storing.options);
  if (!store) return store.error();
  if (const auto prepared = sync::prepare(*store, 0); !prepared) return prepared.error();
  const auto lock = access::lock_store(*store, "run", save.wait, save.deadline);
  if (!lock) return lock.error();
  sync::CaptureOptions capture;
  capture.extent = store::Extent::login;
  capture.filter.exclude = {std::string(store::kClaudeJson)};
  capture.rules.given_access_token = save.given_access_token;
  capture.reason = "run";
  capture.keep_generations = storing.keep_generations;
  auto report = sync::capture(copy.state(), account.identity(), *store, *lock, capture);
  if (report && report->login.choice == login::Choice::take) log::info("login saved", {{"store", path}});
  return report;
}

/// A job can write any login into its copy: none goes back to the store, unless the job is trusted with the
/// refresh token and holds the right to renew.
follow::Coherence::Options coherent_session(const options::Run& options, run::LoginSource& source,
                                            const user::Account& account, const workcopy::WorkingCopy& copy) {
  const store::Inspection& inspection = source.inspection;
  auto& renewer = source.renewer;
  follow::Coherence::Options session;
  // A published store has nothing to renew with, whether or not it can be written.
  const bool can_renew = inspection.login && inspection.login->has_refresh_token;
  if (renewer && can_renew) session.renewed = follow::Coherence::Options::Renewed::here;
  if (renewer) session.on_store_change = [&renewer] { renewer->check_now(); };
  session.store = inspection.path;
  session.how = options.storing.options;
  session.state = copy.state();
  session.who = account.identity();
  session.filter = options.filter;
  session.refresh_token = options.refresh_token;
  session.checkpoint = options.checkpoint;
  session.why_not = why_not_writable(inspection);
  const auto store = store::Store::open(inspection.path, session.how);
  if (inspection.is_shut()) session.renewed = follow::Coherence::Options::Renewed::elsewhere;
  if (store && store::is_published(*store)) {
    session.why_not = "the store is a published one, which has no refresh tokens";
    session.renewed = follow::Coherence::Options::Renewed::elsewhere;
  }
  // A keeper's hook puts new access tokens into a Secret.
  if (store && !can_renew && store::is_kubernetes_volume(*store)) {
    session.renewed = follow::Coherence::Options::Renewed::elsewhere;
  }
  session.why_not_saved = "a run does not take a login over; log in with claude-init setup";
  if (!session.why_not.empty() || !source.right_to_renew) return session;
  session.save = [&copy, &account, &options, path = inspection.path](const follow::Coherence::Save& save) {
    return save_login(copy, path, account, options.storing, save);
  };
  return session;
}

/// What the run has made, as far as it is wanted, goes where it belongs. 0, or a status of ours: then the
/// copy has to stay, without its login if that is saved.
int save_results(const workcopy::WorkingCopy& copy, const user::Account& account,
                 follow::Coherence& coherence, const std::optional<run::KeptSessions>& sessions,
                 const Deadline& deadline) {
  // Each for itself: when one cannot be saved the other can all the same.
  int status = kExitOk;
  if (const auto saved = coherence.finish(access::kCaptureWait, deadline); !saved) {
    status = ui::refuse(saved.error_with("the login stays in " + copy.root()));
  } else {
    copy.wipe_login();  // what follows may take long, and be cut off
  }
  const auto saved = sessions ? sessions->save(copy, account, deadline) : Result<void>();
  if (!saved) {
    status = ui::refuse(saved.error_with("the sessions stay in " + copy.root()));
  }
  return status;
}

/// On a terminal HUP means that its window was closed: the client of `docker run -it` forwards it. Elsewhere
/// it often means "read your configuration again", and is the command's business.
supervise::Options supervision_of(const options::Run& options) {
  supervise::Options supervision = options.supervision;
  if (supervise::Terminal::open().present()) supervision.stop_signals.push_back(SIGHUP);
  return supervision;
}

/// The command runs: what fails now is logged, and what the session makes is saved at its end all the same.
void watch(follow::Coherence& coherence, std::optional<renew::Renewer>& renewer) {
  try {
    coherence.start();
    if (renewer)
      renewer->check_now();  // the watches see every later change; one that came while the copy was made they
                             // do not
  } catch (const boost::system::system_error& e) {
    log::failure(log::Level::warn, system_error(e.code().value(), "watch the store and the working copy"));
  }
}

user::NewPrivileges new_privileges_of(const options::Run& options) {
  return options.allow_new_privileges ? user::NewPrivileges::allow : user::NewPrivileges::forbid;
}

}  // namespace

/// 1. Who to run as, and which store.
/// 2. A login that can be used, renewed where we may or waited for, or a refusal that says what to do.
/// 3. A working copy of the store's state, the target's own.
/// 4. The command, as the target: instead of us, or supervised.
/// 5. What it wrote down is saved where that was asked for, still supervised; nothing is left behind.
int run_command(const options::Run& given, const options::Environment& environment,
                const supervise::Inherited& inherited) {
  options::Run options = given;
  // 1.
  auto account = user::choose_account(options.user, environment.get("HOME"));
  if (!account) return ui::refuse(account.error());
  warn_if_stuck_as_root(*account);
  const std::string path = options::choose_store(options.store, account->home, environment);
  const auto taken = access::take_fitting_seal_key(options.sealing, path, options.storing.options);
  if (!taken) return ui::refuse(taken.error());

  // 2.
  boost::asio::io_context io(1);
  loop::Reaper reaper;
  const supervise::Loop loop{io, reaper, inherited};
  run::LoginSource source;
  if (const int status = run::obtain_login(loop, options, environment, path, source); status != kExitOk)
    return status;
  const store::Inspection& inspection = source.inspection;
  auto& right_to_renew = source.right_to_renew;
  auto& renewer = source.renewer;
  if (const int status = run::check_login(options, environment, inspection); status != kExitOk) return status;
  user::keep_given_groups(*account, inspection.owner.gid);
  warn_of_foreign_directory(*account);

  std::optional<run::KeptSessions> sessions;
  if (options.keeps_sessions()) {
    auto kept = run::KeptSessions::open(options, path);
    if (!kept) return ui::refuse(kept.error());
    sessions = std::move(*kept);
  }

  // 3.
  auto filled = prepare_copy(options, environment, *account, inspection, sessions);
  if (!filled) return ui::refuse(filled.error());
  workcopy::WorkingCopy& copy = filled->copy;
  const WipedOnException wiped(copy);
  // On a host the home directory is a person's own, who may start a CLI of theirs in it.
  const std::string home =
      run::choose_home(copy, *account, fs::in_container() ? run::LinkHome::yes : run::LinkHome::no);
  run::check_what_settings_name(copy, *account, home, filled->has_programs);

  // 4.
  user::give_standard_streams(*account);
  supervise::Command command =
      run::command_in(copy, *account, home, environment, options.command, new_privileges_of(options));
  if (right_to_renew) keep_lock_over_exec(command, right_to_renew->fd());
  if (options.exec) {
    copy.keep_lock_over_exec();
    const auto [status, error] = supervise::exec_instead(inherited, command);
    wipe(copy);
    return ui::refuse(error, status);
  }
  user::keep_least(*account, new_privileges_of(options));
  follow::Coherence coherence(io, coherent_session(options, source, *account, copy));
  coherence.begin();
  // The command need not wait for the watches, and one that ends at once does without: to take them away
  // again the kernel waits for a grace period of its own.
  boost::asio::steady_timer started(io, kWatchAfter);
  started.async_wait([&](const boost::system::error_code& failure) {
    if (!failure) watch(coherence, renewer);
  });
  int unsaved = kExitOk;
  bool collected = false;
  supervise::Hooks hooks;
  if (renewer) hooks.ending = [&renewer] { renewer->stop(); };
  hooks.save_now = [&] { coherence.save_now(); };
  hooks.collect = [&](const Deadline& deadline) {  // 5.
    unsaved = save_results(copy, *account, coherence, sessions, deadline);
    if (unsaved == kExitOk) wipe(copy, deadline);
    collected = true;
  };
  const auto outcome = supervise::supervise(loop, supervision_of(options), command, hooks);
  if (!collected) wipe(copy);
  if (!outcome) return ui::refuse(outcome.error(), kExitSystem);
  return outcome->exit_status != 0 ? outcome->exit_status : unsaved;
}

}  // namespace claude_init::commands
