#include "setup/session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <chrono>

#include "access/store_access.h"
#include "access/store_lock.h"
#include "base/text.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "log/log.h"
#include "login/login.h"
#include "store/copies.h"
#include "store/provenance.h"
#include "store/state_file.h"
#include "sync/restore.h"
#include "ui/progress_line.h"

namespace claude_init::setup {
namespace {

// Not 0: then a lease whose holder was killed is found out about.
constexpr Milliseconds kBriefly{50};

bool is_writable_directory(const std::string& path, fs::Identity who) {
  const fs::ActAs as(who);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.valid() && fs::access_by_rights(fd.get(), ".", W_OK | X_OK) == 0;
}

/// The login file of a session's state; nothing in it where there is none.
store::StateFile read_login(const store::StatePaths& state, fs::Identity who) {
  const auto root = fs::open_root(state.config_dir, who);
  if (!root) return {};
  return store::read_state_file({root->get(), state.config_dir, who}, store::kCredentials);
}

/// Of sessions on this store only: what is left of one must not end up in another environment's store.
std::string kind_of_copy(const FoundStore& found) {
  std::uint32_t hash = 2166136261;  // FNV-1a
  for (const char c : found.store.path()) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return fmt::format("setup-{:08x}", hash);
}

/// What a killed session left in `state` is saved, before the store's older state is put there. What the
/// store got from elsewhere meanwhile is newer and stays; also another account's login, unless it is older.
/// Its login only from where nobody else than the store's owner, or this container, can have put it. False:
/// not all of it could be saved now.
Result<bool> save_leftover(const options::Setup& options, const FoundStore& found,
                           const user::Account& account, const store::StatePaths& state, bool in_copy,
                           const ui::Console& console) {
  const store::StateFile left = read_login(state, account.identity());
  const store::StateFile stored = store::read_state_file(found.store.tree(), store::kCredentials);
  sync::CaptureOptions capture;
  capture.filter = options.filter;
  const bool planted = in_copy && account.uid != found.store.owner().uid;
  if (planted) capture.filter.exclude.emplace_back(store::kCredentials);
  if (planted && left.text)
    console.warning(
        "A login that an earlier session left here is not taken over: any job could have made it.");
  capture.keep_newer = true;
  capture.rules.allow_account_change = left.st && (!stored.st || store::is_newer(*left.st, *stored.st));
  LoginSession session;
  session.state = state;
  const auto report = save_session(found, account, session, capture, access::kCaptureWait);
  if (!report) return report.error_with("save what an earlier session left in " + state.config_dir);
  const login::Verdict& verdict = report->login;
  if (verdict.choice == login::Choice::take) {
    console.good("Saved a login that an earlier session here had not saved.");
  } else if (verdict.choice == login::Choice::keep_store && verdict.source_state == login::State::usable) {
    console.warning(
        fmt::format("A login that an earlier session left here was not saved: {}.", verdict.reason));
  }
  const auto failed = sync::failed_for_now(report->skipped);
  const bool kept_out = verdict.choice == login::Choice::keep_store &&
                        verdict.store_state == login::State::unreadable &&
                        verdict.source_state != login::State::missing;
  if (!failed && !kept_out && report->left_out.empty()) return true;
  console.warning(fmt::format("Not all that an earlier session left in {} could be saved{}: it stays there.",
                              printable(state.config_dir), failed ? " (" + failed->message() + ")" : ""));
  return false;
}

/// Whether a session in the directory would be one in the store itself: then it works on a copy, as for
/// ~/.claude.
bool is_of_the_store(std::string_view directory, const FoundStore& found) {
  boost::system::error_code ec;
  const auto here = boost::filesystem::weakly_canonical(std::string(directory), ec);
  if (ec) return false;
  const auto store = boost::filesystem::weakly_canonical(found.store.path(), ec);
  return !ec && (access::is_within(here, store) || access::is_within(store, here));
}

/// With all of its way, as the CLI does.
Result<void> make_directory(const std::string& directory, const user::Account& account) {
  const fs::ActAs as(account.identity());
  boost::system::error_code ec;
  boost::filesystem::create_directories(directory, ec);
  if (!ec) return Done{};
  Error error = system_error(ec.value(), "make CLAUDE_CONFIG_DIR=" + printable(directory));
  error.remedy = "name a directory that " + printable(account.name) + " may make, or unset CLAUDE_CONFIG_DIR";
  return error;
}

/// The account's own home, or a working copy.
Result<void> choose_place(const options::Setup& options, const options::Environment& environment,
                          const FoundStore& found, const user::Account& account, LoginSession& session) {
  const std::string_view config_dir = environment.get("CLAUDE_CONFIG_DIR");
  const bool home = account.home != "/" && is_writable_directory(account.home, account.identity());
  const bool in_store = !config_dir.empty() && is_of_the_store(config_dir, found);
  if (found.in_container && !found.at_home && !in_store && home) {
    session.state =
        config_dir.empty() ? store::state_in_home(account.home) : store::state_in_config_dir(config_dir);
    return config_dir.empty() ? Result<void>(Done{}) : make_directory(session.state.config_dir, account);
  }
  sync::RestoreOptions what;
  what.withhold_elsewhere = false;
  what.filter = options.filter;
  what.limits = options.limits;
  const auto measured = sync::measure(found.store, what);
  if (!measured) return measured.error();
  workcopy::WorkingCopy::Options place;
  place.places.runtime_dir = environment.get("XDG_RUNTIME_DIR");
  place.demand = {measured->size.bytes, measured->size.has_executables};
  place.kind = kind_of_copy(found);
  auto copy = workcopy::WorkingCopy::create(account, place);
  if (!copy) return copy.error();
  session.copy = std::move(*copy);
  session.state = session.copy->state();
  if (found.read_only) return Done{};
  return store::note_copy(found.store, session.copy->name(), session.copy->directory(), "");
}

/// Leftovers: in the place itself, and in copies of sessions that were killed.
Result<void> save_leftovers(const options::Setup& options, const options::Environment& environment,
                            const FoundStore& found, const user::Account& account,
                            const LoginSession& session, const ui::Console& console) {
  if (!session.copy) {
    const auto saved = save_leftover(options, found, account, session.state, false, console);
    return saved ? Result<void>(Done{}) : saved.error();
  }
  const workcopy::Places places{"", std::string(environment.get("XDG_RUNTIME_DIR"))};
  for (auto& dead : workcopy::take_dead_copies(account, places, kind_of_copy(found))) {
    const auto note = store::noted_copy(found.store, dead.name(), dead.directory());
    if (!note) return note.error();
    if (!*note) {
      log::warn("left alone: it looks like the copy of a session that died, and no session has noted it",
                {{"path", dead.root()}, {"remedy", "remove it"}});
      continue;
    }
    const auto saved = save_leftover(options, found, account, dead.state(), true, console);
    if (!saved) return saved.error();
    if (!*saved) continue;
    if (const auto wiped = dead.wipe(); !wiped) log::failure(log::Level::warn, wiped.error());
    store::forget_copy(found.store, dead.name());
  }
  return Done{};
}

/// Sessions do not get into each other's way; each announces the other to its person.
Result<void> announce(const FoundStore& found, LoginSession& session, const ui::Console& console) {
  auto lock = lock::Lock::acquire(found.store, "setup", "setup", kBriefly);
  if (lock) {
    session.lock = std::move(*lock);
    return Done{};
  }
  if (lock.error().kind != ErrorKind::busy) return lock.error();
  console.warning(lock.error().message());
  console.text("Both sessions work. A login in one of them is saved, and passed to the other.");
  return Done{};
}

Result<void> fill(const options::Setup& options, const FoundStore& found, const user::Account& account,
                  LoginSession& session, bool plain) {
  sync::RestoreOptions restore;
  restore.filter = options.filter;
  restore.withhold_elsewhere = false;  // it is the person's own state, and is captured again
  restore.baseline = &session.baseline;
  restore.limits = options.limits;
  ui::ProgressLine progress("restoring", plain);
  restore.progress = progress.callback();
  const auto restored = sync::restore(found.store, session.state, account.identity(), restore);
  if (!restored) return restored.error_with("restore the store's state");
  log::info("restored", {{"from", found.store.path()},
                         {"to", session.state.config_dir},
                         {"files", restored->files},
                         {"bytes", restored->bytes}});
  for (const auto& skipped : restored->skipped) {
    log::warn("not restored", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
  const store::StateFile given = read_login(session.state, account.identity());
  if (given.text) session.given_access_token = login::access_token(given.text->reveal());
  return Done{};
}

}  // namespace

/// 1. A place.
/// 2. What a killed session left is saved.
/// 3. Other sessions are told of this one.
/// 4. The store's state, put there.
Result<LoginSession> open_session(const options::Setup& options, const options::Environment& environment,
                                  const FoundStore& found, const user::Account& account,
                                  const ui::Console& console) {
  LoginSession session;
  // 1.
  if (auto chosen = choose_place(options, environment, found, account, session); !chosen)
    return chosen.error();
  Result<void> done;
  if (!found.read_only) {
    // 2.
    done = save_leftovers(options, environment, found, account, session, console);
    // 3.
    if (done) done = announce(found, session, console);
  }
  // 4.
  if (done) done = fill(options, found, account, session, access::is_plain(environment));
  if (done) return session;
  wipe_copy(found, session);
  return done.error();
}

void wipe_copy(const FoundStore& found, LoginSession& session, const Deadline& deadline) {
  if (!session.copy) return;
  if (const auto wiped = session.copy->wipe(deadline); !wiped) log::failure(log::Level::warn, wiped.error());
  if (!found.read_only) store::forget_copy(found.store, session.copy->name());
}

Result<sync::CaptureReport> save_session(const FoundStore& found, const user::Account& account,
                                         const LoginSession& session, const sync::CaptureOptions& capture,
                                         Milliseconds wait) {
  const SteadyTime start = std::chrono::steady_clock::now();
  auto lock = access::lock_store(found.store, "capture", wait, capture.deadline);
  if (!lock) return lock.error();
  auto report = sync::capture(session.state, account.identity(), found.store, *lock, capture);
  if (!report) return report.error();
  log::info("captured", {{"store", found.store.path()},
                         {"added", report->added},
                         {"changed", report->changed},
                         {"deleted", report->deleted},
                         {"unchanged", report->unchanged},
                         {"bytes", report->bytes},
                         {"took", took_since(start)}});
  for (const auto& skipped : report->skipped) {
    log::debug("not captured", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
  for (const auto& path : report->left_out) log::debug("left out for want of time", {{"path", path}});
  return report;
}

}  // namespace claude_init::setup
