#include "commands/store_access.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <cerrno>

#include "base/text.h"
#include "commands/health_context.h"
#include "fs/advice.h"
#include "fs/mounts.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "store/id.h"
#include "store/published.h"
#include "workcopy/account.h"

namespace claude_init::commands {
namespace {

namespace bfs = boost::filesystem;

constexpr std::size_t kMaxEntries = 2'000'000;
constexpr mode_t kExecutable = 0111;

/// Gives an open file or directory the owner and the mode that a store's have. False: the owner was refused.
bool give(int fd, fs::Identity owner, const store::Modes& modes) {
  struct stat st {};
  if (::fstat(fd, &st) != 0) return false;
  const bool given =
      (st.st_uid == owner.uid && st.st_gid == owner.gid) || ::fchown(fd, owner.uid, owner.gid) == 0;
  const mode_t file = (st.st_mode & kExecutable) != 0 ? modes.executable : modes.file;
  const mode_t wanted = S_ISDIR(st.st_mode) ? modes.directory : file;
  if ((st.st_mode & 07777) != wanted) static_cast<void>(::fchmod(fd, wanted));
  return given;
}

/// Everything beneath an open directory, deepest first, links left alone.
void give_tree(int directory, fs::Identity owner, const store::Modes& modes) {
  const auto entries = fs::list_directory(directory, kMaxEntries);
  if (!entries) return;
  for (const fs::Entry& entry : *entries) {
    if (!S_ISDIR(entry.st.st_mode) && !S_ISREG(entry.st.st_mode)) continue;
    const auto fd = fs::open_beneath(directory, entry.name, O_RDONLY | O_NONBLOCK, fs::Links::refuse);
    if (!fd) continue;
    if (S_ISDIR(entry.st.st_mode)) give_tree(fd->get(), owner, modes);
    static_cast<void>(give(fd->get(), owner, modes));
  }
}

/// Only where the store's directory itself differs: modes that drifted deeper down are nobody's business.
Result<void> apply_owner_and_mode(const store::Store& store, const options::Storing& storing) {
  struct stat st {};
  if (::fstat(store.fd(), &st) != 0) return system_error(errno, "stat " + printable(store.path()));
  fs::Identity owner{st.st_uid, st.st_gid};
  if (!storing.owner.empty()) {
    const auto account = workcopy::find_account(storing.owner);
    if (!account) return account.error_with("--store-owner");
    owner = account->identity();
  }
  const bool owner_differs = st.st_uid != owner.uid || st.st_gid != owner.gid;
  const mode_t mode = store.modes().directory;
  const bool mode_differs =
      storing.options.access != store::Access::automatic && (st.st_mode & 07777) != mode;
  if (!owner_differs && !mode_differs) return Done{};
  give_tree(store.fd(), owner, store.modes());
  if (!give(store.fd(), owner, store.modes()))
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
    if (!above.empty()) error.remedy = fs::how_to_let_pass(above) + "\n  and, if it is not there yet, ";
    error.remedy += "make it for yourself: " + fs::how_to_make(path, fs::current_identity());
  }
  error.remedy += (error.remedy.empty() ? "" : "\n  or ") +
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
  for (std::size_t i = 1; i <= path.size(); ++i) {
    if (i != path.size() && path[i] != '/') continue;
    if (::mkdir(path.substr(0, i).c_str(), 0700) != 0 && errno != EEXIST) {
      return cannot_make(errno, path.substr(0, i), path);
    }
  }
  return Done{};
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
                             const store::Lock& lock) {
  const auto identity = store::check_identity(store);
  if (storing.options.adopt) {
    // Where nothing is to be taken over, adopting does nothing: it may be left in a script.
    const auto locks = store::look_at_locks(store);
    const bool method = storing.options.locking == store::Locking::automatic ||
                        (locks && locks->method == storing.options.locking);
    return identity && method ? Result<void>(Done{}) : store::adopt(store, lock);
  }
  if (!identity) {
    log::failure(log::Level::warn, identity.error());
    log::warn("what is captured is saved; nobody renews a login here until the store is taken over");
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
  if (::stat(found.path.c_str(), &st) != 0) {
    found.exists = false;
    if (errno != ENOENT || ::stat(full.parent_path().c_str(), &st) != 0) {
      Error error = system_error(errno, what);
      error.kind = ErrorKind::usage;
      error.remedy = "name a directory that is there";
      return error;
    }
  }
  if (!S_ISDIR(st.st_mode))
    return make_error(ErrorKind::usage, what + " is not a directory",
                      "name the configuration directory (~/.claude), not a file of it");
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

}  // namespace claude_init::commands
