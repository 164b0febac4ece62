#include "access/store_access.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <cerrno>
#include <optional>
#include <vector>

#include "access/health_context.h"
#include "base/text.h"
#include "fs/mounts.h"
#include "fs/named.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "lock/adopt.h"
#include "lock/lock_method.h"
#include "log/log.h"
#include "store/inspect.h"
#include "store/provenance.h"
#include "store/published.h"
#include "ui/remedies.h"
#include "user/account.h"

namespace claude_init::access {
namespace {

namespace bfs = boost::filesystem;

constexpr std::size_t kMaxEntries = 2'000'000;
constexpr mode_t kExecutable = 0111;

/// What a store is to have, and had.
struct Giving {
  fs::Identity from;
  fs::Identity to;
  store::Modes modes;
  std::vector<std::string> left{};  // what stays as it is
};

/// Gives an open file or directory the owner and the mode that a store's have. False: the owner was refused.
bool give(int fd, const struct stat& st, fs::Identity owner, const store::Modes& modes) {
  const bool given =
      (st.st_uid == owner.uid && st.st_gid == owner.gid) || ::fchown(fd, owner.uid, owner.gid) == 0;
  const mode_t file = (st.st_mode & kExecutable) != 0 ? modes.executable : modes.file;
  const mode_t wanted = S_ISDIR(st.st_mode) ? modes.directory : file;
  if ((st.st_mode & 07777) != wanted) static_cast<void>(::fchmod(fd, wanted));
  return given;
}

/// An entry, opened with the rights of the store's owner; nothing where it is not theirs to give: what others
/// own, and a file that has another name, which may lie anywhere (a hard link).
std::optional<UniqueFd> open_to_give(int directory, const std::string& name, const Giving& giving,
                                     struct stat& st) {
  const fs::ActAs as(giving.from);
  auto fd = fs::open_beneath(directory, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, fs::Links::refuse);
  if (!fd || ::fstat(fd->get(), &st) != 0) return std::nullopt;
  const bool theirs = st.st_uid == giving.from.uid || st.st_uid == giving.to.uid;
  const bool alone = S_ISDIR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1);
  return theirs && alone ? std::optional(std::move(*fd)) : std::nullopt;
}

/// Everything beneath an open directory, deepest first, links left alone. Locks stay their owner's only.
void give_tree(int directory, const std::string& path, Giving& giving) {
  const auto entries = [&] {
    const fs::ActAs as(giving.from);
    return fs::list_directory(directory, kMaxEntries);
  }();
  if (!entries) return giving.left.push_back(path);
  const bool locks = path == fs::join(store::kPrivateDir, "locks");
  for (const fs::Entry& entry : *entries) {
    if (!S_ISDIR(entry.st.st_mode) && !S_ISREG(entry.st.st_mode)) continue;
    const std::string full = fs::join(path, entry.name);
    struct stat st {};
    const auto fd = open_to_give(directory, entry.name, giving, st);
    if (!fd) {
      giving.left.push_back(full);
      continue;
    }
    if (S_ISDIR(st.st_mode)) give_tree(fd->get(), full, giving);
    static_cast<void>(give(fd->get(), st, giving.to, locks ? store::Modes{} : giving.modes));
  }
}

void say_what_stays(const store::Store& store, const std::vector<std::string>& left) {
  if (left.empty()) return;
  log::warn(
      "some of the store keeps its owner and mode: it belongs to others, or has other names (hard links)",
      {{"path", store.path()}, {"count", left.size()}, {"first", left.front()}});
}

/// Only where the store's directory itself differs: modes that drifted deeper down stay.
Result<void> apply_owner_and_mode(const store::Store& store, const options::Storing& storing) {
  struct stat st {};
  if (::fstat(store.fd(), &st) != 0) return system_error(errno, "stat " + printable(store.path()));
  fs::Identity owner{st.st_uid, st.st_gid};
  if (!storing.owner.empty()) {
    const auto account = user::find_account(storing.owner);
    if (!account) return account.error_with("--store-owner");
    owner = account->identity();
  }
  const bool owner_differs = st.st_uid != owner.uid || st.st_gid != owner.gid;
  const mode_t mode = store.modes().directory;
  const bool mode_differs =
      storing.options.access != store::Access::automatic && (st.st_mode & 07777) != mode;
  if (!owner_differs && !mode_differs) return Done{};
  Giving giving{{st.st_uid, st.st_gid}, owner, store.modes()};
  give_tree(store.fd(), "", giving);
  say_what_stays(store, giving.left);
  if (!give(store.fd(), st, owner, store.modes()))
    log::warn("the store stays whose it is: its owner cannot be changed here (CAP_CHOWN)",
              {{"path", store.path()}, {"wanted", storing.owner}});
  return Done{};
}

/// The store `path`, of whose directories `at` cannot be made.
Error cannot_make(int number, const std::string& at, const std::string& path) {
  Error error = system_error(number, "create the store " + printable(at));
  if (fs::in_container()) {
    error.remedy = "mount a directory there: -v HOST_DIR:" + shell_quote(path);
  } else if (error.kind == ErrorKind::permission) {
    const std::string above = store::inspect(path, unix_now()).barred_by;
    if (!above.empty()) error.remedy = ui::how_to_let_pass(above) + "\nand, if it is not there yet, ";
    error.remedy += "make it for yourself: " + ui::how_to_make(path, fs::current_identity());
  }
  error.remedy += (error.remedy.empty() ? "" : "\nor ") +
                  std::string("name another store: --store DIR, CLAUDE_INIT_STORE=DIR");
  return error;
}

bfs::path resolved(const std::string& path) {
  boost::system::error_code ec;
  const bfs::path full = bfs::weakly_canonical(path, ec);
  return ec ? bfs::path(path) : full;
}

}  // namespace

bool is_within(const bfs::path& inner, const bfs::path& outer) {
  const auto [a, b] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  static_cast<void>(b);
  return a == outer.end();
}

bool is_plain(const options::Environment& environment) {
  return environment.has("NO_COLOR") || environment.get("TERM") == "dumb";
}

Result<void> create_directories(const std::string& path) {
  std::string failed;
  const auto made = fs::make_all_named(path, &failed);
  if (made || !made.error().remedy.empty()) return made;
  return cannot_make(made.error().number, failed, path);
}

Result<store::Store> open_to_write(const std::string& path, const options::Storing& storing,
                                   const options::Environment& environment) {
  auto store = store::Store::open(path, storing.options);
  if (!store) return with_how_to_read(store.error(), path, environment);
  if (storing.owner.empty() && storing.options.access == store::Access::automatic) return store;
  if (const auto applied = apply_owner_and_mode(*store, storing); !applied) return applied.error();
  return store::Store::open(path, storing.options);  // as its owner, by now
}

Result<void> check_not_published(const store::Store& store) {
  if (!store::is_published(store)) return Done{};
  return make_error(ErrorKind::invalid,
                    printable(store.path()) +
                        " is a published store: the next publication replaces a login that is put there",
                    "name the store that it is published from");
}

Result<void> settle_identity(const store::Store& store, const options::Storing& storing,
                             const lock::Lock& lock) {
  const auto identity = store::check_identity(store);
  if (storing.options.adopt) {
    // Where nothing is to be taken over, adopting does nothing: it may be left in a script.
    const auto locks = lock::find_locks(store);
    const bool method = storing.options.locking == store::Locking::automatic ||
                        (locks && locks->method == storing.options.locking);
    return identity && method ? Result<void>(Done{}) : lock::adopt(store, lock);
  }
  if (!identity) {
    log::failure(log::Level::warn, identity.error());
    log::warn("captures are saved; no login is renewed here until the store is adopted");
  }
  return Done{};
}

Result<Directory> named_directory(const std::string& option, const std::string& text,
                                  const std::string& store) {
  boost::system::error_code ec;
  bfs::path full = bfs::absolute(text, ec).lexically_normal();
  if (full.filename() == "." || full.filename().empty()) full = full.parent_path();
  Directory found{full.string(), {}, true};
  const std::string what = option + " " + printable(text);
  struct stat st {};
  auto place = fs::open_named(found.path);
  if (!place && place.error().number == ENOENT) {
    found.exists = false;
    place = fs::open_named(full.parent_path().string());
  }
  if (!place && place.error().number == ENOTDIR)
    return make_error(ErrorKind::usage, what + " is not a directory",
                      "name the configuration directory (~/.claude), not a file of it");
  if (!place || ::fstat(place->get(), &st) != 0) {
    Error error = place ? system_error(errno, what) : place.error_with(what);
    error.kind = ErrorKind::usage;
    if (error.remedy.empty()) error.remedy = "name a directory that is there";
    return error;
  }
  found.owner = {st.st_uid, st.st_gid};
  const bfs::path here = resolved(found.path);
  const bfs::path there = resolved(store);
  if (is_within(here, there) || is_within(there, here))
    return make_error(ErrorKind::usage,
                      fmt::format("{} and the store {} are the same directory, or one lies in the other",
                                  what, printable(store)),
                      "name two directories beside each other");
  return found;
}

store::StatePaths state_in(const std::string& directory) {
  store::StatePaths inside = store::state_in_config_dir(directory);
  struct stat st {};
  if (fs::name_of(directory) != ".claude" || ::lstat(inside.claude_json.c_str(), &st) == 0) return inside;
  inside.claude_json = fs::join(fs::parent_of(directory), store::kClaudeJson);
  return inside;
}

}  // namespace claude_init::access
