#include "store/inspect.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "fs/newer_calls.h"
#include "fs/tree.h"
#include "login/placeholder.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/published.h"
#include "store/rejection.h"
#include "store/sealed.h"
#include "store/snapshot.h"
#include "store/state_file.h"

namespace claude_init::store {
namespace {

void judge_login(const Store& store, UnixMs now, Inspection& found) {
  const Tree tree = store.tree();
  const StateFile file = read_login(store);
  found.sealed = is_sealed(store);
  found.opened = found.sealed && store.options().seal && !file.problem;
  if (file.st) {
    found.file_owner = fs::owner_of(*file.st);
    found.file_mode = file.st->st_mode;
    found.file_modified = unix_ms(file.st->st_mtim);
  }
  if (file.problem) {
    found.state = state_of_problem(*file.problem);
    found.problem = file.problem->message();
    found.remedy = found.sealed ? file.problem->remedy : "";
    found.is_for_now = is_for_now(*file.problem);
    found.denied = file.problem->kind == ErrorKind::permission;
    found.in_the_way = found.state == login::State::malformed && !file.damaged;
    return;
  }
  if (!file.text) {
    found.state = login::State::missing;
    found.problem = "there is no " + std::string(kCredentials) + " in it";
    return;
  }
  login::Judged judged = login::judge_file(file.text->reveal(), now);
  found.other_logins = login::other_logins(file.text->reveal());
  found.state = judged.state;
  found.placeholder = login::is_placeholder(judged.access_token);
  if (judged.login && judged.login->has_refresh_token) {
    const Rejection rejection = rejection_of(tree, *judged.login);
    found.renewal_rejected = rejection != Rejection::none;
    found.renewal_burnt = rejection == Rejection::burnt;
    if (judged.state == login::State::renewable && found.renewal_rejected) found.state = login::State::dead;
  }
  if (judged.login && judged.login->has_refresh_token && !login::is_credible(judged.login->expires_at, now)) {
    const auto proven = is_proven(store, file.text->reveal());
    found.deadline_doubtful = proven && !*proven;
  }
  found.login = std::move(judged.login);
  found.problem = std::move(judged.problem);
}

/// The directories above a path, from the root on: "/", "/a", "/a/b" of "/a/b/c".
std::vector<std::string> directories_above(const std::string& path) {
  std::vector<std::string> above;
  for (std::size_t at = path.find('/'); at != std::string::npos; at = path.find('/', at + 1)) {
    above.push_back(at == 0 ? "/" : path.substr(0, at));
  }
  return above;
}

/// The first directory on the way to `path` that we may not enter; "" where it is none of these, but one that
/// a link leads through.
std::string who_bars(const std::string& path) {
  for (const std::string& directory : directories_above(path)) {
    const int error = fs::access_by_rights(AT_FDCWD, directory, X_OK);
    if (error != 0) return error == EACCES ? directory : "";
  }
  return "";
}

/// Only of a login whose own mode lets everybody read it, which is rare: each directory is looked at.
bool is_open_to_all(const Inspection& found) {
  if ((found.file_mode & S_IROTH) == 0 || (found.mode & S_IXOTH) == 0) return false;
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(found.path.c_str(), nullptr), &std::free);
  const auto above = directories_above(real ? real.get() : found.path);
  return std::all_of(above.begin(), above.end(), [](const std::string& directory) {
    struct stat st {};
    return ::stat(directory.c_str(), &st) == 0 && (st.st_mode & S_IXOTH) != 0;
  });
}

void inspect_surroundings(const Tree& tree, Inspection& found) {
  found.email = read_account_email(tree);
  const fs::ActAs as(tree.who);
  // A limit of none: more than that is an error, and then it is not empty.
  const auto entries = fs::list_directory(tree.root, 0);
  found.empty_directory = entries.ok();
}

Inspection inspect_itself(const std::string& path, UnixMs now, const StoreOptions& options) {
  Inspection found;
  found.path = path;
  struct stat st {};
  if (::stat(path.c_str(), &st) == 0) {
    found.owner = fs::owner_of(st);
    found.mode = st.st_mode;
    found.is_directory = S_ISDIR(st.st_mode);
  } else if (errno == EACCES) {
    found.barred_by = who_bars(path);
  }
  struct statvfs vfs {};
  if (::statvfs(path.c_str(), &vfs) == 0) found.read_only = (vfs.f_flag & ST_RDONLY) != 0;
  const auto store = Store::open(path, options);
  if (!store) {
    found.is_for_now = is_for_now(store.error());
    if (found.is_for_now) found.denied = false;
    const bool unreadable = found.is_for_now || store.error().kind == ErrorKind::permission;
    // Refused by us: what there is to see is not this store's.
    if (unreadable && store.error().number == 0) {
      found.mode = 0;
      found.owner = {};
      found.denied = false;
      found.remedy = store.error().remedy;
    }
    found.state = unreadable ? login::State::unreadable : login::State::no_store;
    found.problem = store.error().message();
    return found;
  }
  // Once more where something was committed in between: the login and the account are of one state.
  constexpr int kPasses = 10;
  for (int pass = 1;; ++pass) {
    const auto snapshot = Snapshot::take(store->tree());
    Inspection seen = found;
    judge_login(*store, now, seen);
    inspect_surroundings(store->tree(), seen);
    seen.open_to_all = is_open_to_all(seen);
    // One with a refresh token is none, and need not be asked.
    seen.published = !(seen.login && seen.login->has_refresh_token) && is_published(*store);
    if (!snapshot || snapshot->holds() || pass == kPasses) return seen;
  }
}

}  // namespace

Inspection inspect(const std::string& path, UnixMs now) {
  return inspect(path, now, {});
}

Inspection inspect(const std::string& path, UnixMs now, const StoreOptions& options) {
  Inspection found = inspect_itself(path, now, options);
  if (found.state != login::State::usable) found.unpublished = word_left(path);
  return found;
}

std::string why_not_writable(const Inspection& inspection) {
  if (inspection.state == login::State::no_store) return "there is no store";
  if (inspection.read_only) return "the store is read-only";
  const fs::ActAs as(inspection.owner);
  return fs::access_by_rights(AT_FDCWD, inspection.path, W_OK | X_OK) == 0
             ? ""
             : "the store may not be written by us";
}

}  // namespace claude_init::store
