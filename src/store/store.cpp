#include "store/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/text.h"
#include "ui/remedies.h"
#include "fs/file.h"
#include "fs/mounts.h"
#include "fs/named.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/published.h"
#include "store/rejection.h"
#include "store/snapshot.h"
#include "store/state_file.h"

namespace claude_init::store {
namespace {

fs::Identity identity_of(const struct stat& st) {
  return {st.st_uid, st.st_gid};
}

fs::Identity whose_rights(const struct stat& st) {
  return st.st_uid == fs::overflow_uid() ? fs::current_identity() : identity_of(st);
}

Error no_directory(const std::string& path) {
  return make_error(ErrorKind::invalid, printable(path) + " is not a directory",
                    fs::in_container() ? "mount the directory that holds the login, not a file of it"
                                       : "name the directory that holds the login, not a file of it");
}

/// Why the store's owner, or we, may not write it, and what to type.
std::string how_to_allow_writing(const Store& store) {
  constexpr mode_t kOwnersAll = S_IRWXU;
  const bool in_container = fs::in_container();
  const fs::Identity owner = store.owner();
  if (!fs::ActAs(owner).effective()) {
    const fs::Identity ours = fs::current_identity();
    return "it belongs to uid " + std::to_string(owner.uid) + " and we are uid " + std::to_string(ours.uid) +
           ": " + fs::how_to_give(store.path(), ours, in_container) +
           (in_container ? "; or " + fs::how_to_run_as(owner) : "");
  }
  struct stat st {};
  if (::fstat(store.fd(), &st) == 0 && (st.st_mode & kOwnersAll) != kOwnersAll) {
    return "its mode bars its owner: " + fs::how_to_open_modes(store.path(), in_container);
  }
  return "something in it is not its owner's, or its mode bars the owner: " +
         fs::how_to_give(store.path(), owner, in_container);
}

/// What a person can do about a store that cannot be written.
Error with_remedy(Error error, const Store& store) {
  error.what = printable(store.path()) + " cannot be written: " + error.what;
  switch (error.kind) {
    case ErrorKind::read_only:
      error.remedy = "mount it without \":ro\"";
      break;
    case ErrorKind::permission:
      if (error.remedy.empty()) error.remedy = how_to_allow_writing(store);
      break;
    case ErrorKind::no_space:
      error.remedy = "free some space there, or use another store";
      break;
    default:
      break;
  }
  return error;
}

Result<void> check_space(const Store& store, std::uint64_t needed) {
  constexpr fsfilcnt_t kInodes = 64;  // a session makes a few files; more cannot be known beforehand
  struct statvfs vfs {};
  if (::fstatvfs(store.fd(), &vfs) != 0) return system_error(errno, "look at the free space");
  const std::uint64_t available = static_cast<std::uint64_t>(vfs.f_bavail) * vfs.f_frsize;
  if (available < needed) {
    return system_error(ENOSPC,
                        format_bytes(needed) + " are needed and " + format_bytes(available) + " are free");
  }
  // Some file systems (btrfs) do not count inodes: 0 of 0.
  if (vfs.f_files != 0 && vfs.f_favail < kInodes) return system_error(ENOSPC, "no inodes are left");
  return Done{};
}

Result<void> probe(const Store& store, Store::Locked locked) {
  const fs::ActAs as(store.owner());
  const Modes modes = store.modes();
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), modes.directory);
  if (!own) return own.error();
  if (locked == Store::Locked::yes) {
    if (const auto locks = open_locks(store); !locks) return locks.error();
  }
  constexpr const char* kProbe = "probe";
  if (auto written = fs::replace_file(own->get(), kProbe, "probe\n", modes.file, fs::Sync::yes); !written) {
    return written;
  }
  return fs::remove_tree(own->get(), kProbe);
}

void judge_login(const Store& store, UnixMs now, Inspection& found) {
  const Tree tree = store.tree();
  const StateFile file = read_state_file(tree, kCredentials);
  if (file.st) {
    found.file_owner = identity_of(*file.st);
    found.file_mode = file.st->st_mode;
    found.file_modified = UnixMs{file.st->st_mtim.tv_sec} * 1000 + file.st->st_mtim.tv_nsec / 1'000'000;
  }
  if (file.problem) {
    found.state = state_of_problem(*file.problem);
    found.problem = file.problem->message();
    found.is_for_now = is_for_now(*file.problem);
    found.denied = file.problem->kind == ErrorKind::permission;
    found.in_the_way = found.state == login::State::malformed;
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
  if (judged.login && judged.login->has_refresh_token) {
    const Rejection rejection = rejection_of(tree, *judged.login);
    found.renewal_rejected = rejection != Rejection::none;
    found.renewal_burnt = rejection == Rejection::burnt;
    if (judged.state == login::State::renewable && found.renewal_rejected) found.state = login::State::dead;
  }
  found.deadline_doubtful = judged.login && judged.login->has_refresh_token &&
                            !login::is_credible(judged.login->expires_at, now) &&
                            !is_proven(store, file.text->reveal());
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
    if (::faccessat(AT_FDCWD, directory.c_str(), X_OK, AT_EACCESS) != 0)
      return errno == EACCES ? directory : "";
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

void look_around(const Tree& tree, Inspection& found) {
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
    found.owner = identity_of(st);
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
    look_around(store->tree(), seen);
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
  return ::faccessat(AT_FDCWD, inspection.path.c_str(), W_OK | X_OK, AT_EACCESS) == 0
             ? ""
             : "the store may not be written by us";
}

Result<Store> Store::open(const std::string& path, const StoreOptions& options) {
  struct stat st {};
  const auto place = fs::open_named(path);
  if (!place) {
    if (place.error().number == ENOTDIR && ::stat(path.c_str(), &st) == 0) return no_directory(path);
    const int number = place.error().number;
    return number != 0 ? system_error(number, "open the store " + printable(path))
                       : place.error_with("the store");
  }
  if (::fstat(place->get(), &st) != 0) return system_error(errno, "open the store " + printable(path));
  if (options.owner && st.st_uid != *options.owner) {
    return make_error(ErrorKind::permission,
                      fmt::format("{} belongs to uid {} and belonged to uid {} when it was opened first",
                                  printable(path), st.st_uid, *options.owner),
                      "start this anew if that is meant, or put the directory back");
  }
  Store store;
  store.path_ = path;
  store.options_ = options;
  store.owner_ = whose_rights(st);
  store.group_readable_ =
      options.access == Access::automatic ? (st.st_mode & S_ISGID) != 0 : options.access == Access::group;
  const fs::ActAs as(store.owner_);
  store.root_.reset(::openat(place->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!store.root_.valid()) return system_error(errno, "the store: open " + printable(path));
  return store;
}

Result<Store> Store::open_inside(const std::string& relative_path) const {
  const fs::ActAs as(owner_);
  auto root = fs::open_beneath(fd(), relative_path, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!root) return root.error();
  Store inside;
  inside.root_ = std::move(*root);
  inside.path_ = fs::join(path_, relative_path);
  inside.owner_ = owner_;
  inside.options_ = options_;
  inside.group_readable_ = group_readable_;
  return inside;
}

Result<void> Store::prepare(std::uint64_t needed, Locked locked) {
  const auto start = std::chrono::steady_clock::now();
  if (const auto probed = probe(*this, locked); !probed) return with_remedy(probed.error(), *this);
  if (const auto space = check_space(*this, needed); !space) return with_remedy(space.error(), *this);
  log::debug("the store can be written", {{"path", path_}, {"took", took_since(start)}});
  return Done{};
}

fs::Identity owner_of(const std::string& path) {
  const auto store = Store::open(path);
  return store ? store->owner() : fs::current_identity();
}

}  // namespace claude_init::store
