#include "setup/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/filesystem/operations.hpp>
#include <cerrno>
#include <cstdio>

#include "access/health_context.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "access/store_lock.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/file.h"
#include "fs/mounts.h"
#include "health/health.h"
#include "lock/lock.h"
#include "log/log.h"
#include "options/store_path.h"
#include "renew/renewal.h"
#include "store/inspect.h"
#include "store/provenance.h"
#include "store/sealed.h"
#include "sync/prepare.h"
#include "ui/remedies.h"

namespace claude_init::setup {
namespace {

// Enough for a login and the CLI's settings many times over; a state that is larger is staged until the space
// is gone, and the login goes first.
constexpr std::uint64_t kNeededBytes = std::uint64_t{4} << 20;

/// A store that goes with the container is refused, or warned about where somebody may have meant it.
Result<void> check_persistence(const std::string& path, bool allow_ephemeral,
                               const options::Environment& environment, const ui::Console& console) {
  constexpr const char* kAllow =
      "add -e CLAUDE_INIT_ALLOW_EPHEMERAL=1 (--allow-ephemeral) to go on all the same";
  const auto mounts = fs::read_mounts();
  if (!mounts && allow_ephemeral) return Done{};
  if (!mounts) {
    Error error = mounts.error_with("cannot find out whether the store outlives this container");
    error.remedy = kAllow;
    return error;
  }
  // mountinfo knows resolved names only.
  boost::system::error_code ec;
  const std::string resolved = boost::filesystem::weakly_canonical(path, ec).string();
  const fs::Persistence persistence = fs::persistence_of(*mounts, ec ? path : resolved);
  log::debug("store's file system", {{"path", path}, {"persistence", static_cast<int>(persistence)}});
  const std::string mount = fmt::format("mount a directory or a named volume there:\n    {}",
                                        options::setup_command_line(path, true, environment, &*mounts));
  switch (persistence) {
    case fs::Persistence::mounted:
      return Done{};
    case fs::Persistence::container_layer:
      if (allow_ephemeral) {
        console.warning(fmt::format(
            "{} is in the container's own layer: it is gone when the container is removed.", path));
        return Done{};
      }
      return make_error(
          ErrorKind::not_found,
          fmt::format("nothing is mounted at {}: a login saved there would be lost with this container",
                      path),
          mount + "\n  or " + kAllow);
    case fs::Persistence::anonymous_volume:
      if (!allow_ephemeral) {
        console.warning(fmt::format("{} is an anonymous volume: `{} run --rm` deletes it at the end.", path,
                                    ui::engine_command()));
        console.text(mount);
      }
      return Done{};
    case fs::Persistence::memory:
      if (!allow_ephemeral) {
        console.warning(fmt::format(
            "{} is in memory (tmpfs): what is saved there is gone when the container stops.", path));
        console.text(mount);
      }
      return Done{};
  }
  return Done{};
}

/// Whether uid 0 here is uid 0 on the host: else it is a person's, whose engine has no root.
bool is_hosts_root() {
  const UniqueFd fd(::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC));
  const auto text = fd.valid() ? fs::read_all(fd.get(), 4096, "uid_map") : Result<std::string>(std::string());
  unsigned inside = 1;
  unsigned outside = 1;
  return text && std::sscanf(text->c_str(), "%u %u", &inside, &outside) == 2 && inside == 0 && outside == 0;
}

/// Docker makes the directory that -v names where there is none, for root: a mistyped one looks like a store.
void warn_if_just_made(const std::string& path, const user::Account& account, const ui::Console& console) {
  const store::Inspection seen = store::inspect(path, unix_now());
  if (!seen.empty_directory || seen.owner.uid != 0 || account.uid == 0 || !is_hosts_root()) return;
  const auto mounts = fs::read_mounts();
  const fs::Mount* mount = mounts ? fs::mount_of(*mounts, path) : nullptr;
  if (mount == nullptr || !fs::volume_name(*mount).empty()) return;  // a new volume is empty, and root's
  if (fs::persistence_of(*mounts, path) != fs::Persistence::mounted) return;
  console.warning(
      fmt::format("{} is empty and belongs to root: was the directory in your -v mistyped?", path));
  console.text("The engine makes one that does not exist. If you meant another: exit, and name that one.");
  console.text(
      "If you meant this one: log in, and then, on the host: sudo chown -R \"$(id -u):$(id -g)\" HOST_DIR");
}

}  // namespace

Result<FoundStore> open_setup_store(const options::Setup& options, const options::Environment& environment,
                                    const user::Account& account, const ui::Console& console) {
  const std::string path = options::choose_store(options.store, account.home, environment);
  const bool in_container = fs::in_container();
  log::debug("store chosen", {{"path", path}, {"container", in_container ? "yes" : "no"}});

  if (in_container) {
    if (auto kept = check_persistence(path, options.allow_ephemeral, environment, console); !kept)
      return kept.error();
  }
  // On the host any directory is fine; in a container --allow-ephemeral may name one that is not there yet.
  if (!in_container || options.allow_ephemeral) {
    if (auto created = access::create_directories(path); !created) return created.error();
  }
  if (in_container && environment.get("KUBERNETES_SERVICE_HOST").empty())
    warn_if_just_made(path, account, console);
  options::Storing storing = options.storing;
  if (auto taken = access::take_fitting_seal_key(options.sealing, path, storing.options); !taken)
    return taken.error();
  auto store = access::open_to_write(path, storing, environment);
  if (!store) return store.error();

  if (const auto own = access::check_not_published(*store); !own) return own.error();
  FoundStore found{.store = std::move(*store),
                   .in_container = in_container,
                   .host_side = options::host_side_of(path, environment),
                   .seal_key = options.sealing.key,
                   .at_home = path == account.home + "/.claude",
                   .deployed = !environment.get(options::kLoginCommand).empty(),
                   .read_only = false};
  if (auto fit = sync::prepare(found.store, kNeededBytes); !fit) {
    // The documented way to try a login out: `-v DIR:/home/node/.claude:ro`. Nobody expects a capture there.
    if (!found.at_home || fit.error().kind != ErrorKind::read_only) return fit.error();
    found.read_only = true;
  }
  // A copy is said, or taken over, before anybody logs in.
  if (!found.read_only && (options.storing.options.adopt || !store::check_identity(found.store))) {
    const auto lock = lock::Lock::acquire(found.store, "store", "setup", access::kCaptureWait);
    if (!lock) return lock.error();
    if (auto settled = access::settle_identity(found.store, options.storing, *lock); !settled)
      return settled.error();
  }
  if (found.read_only) return found;
  if (!found.store.options().seal && store::is_sealed(found.store))
    return store::needs_key(found.store, "a login that is made here could not be saved");
  if (auto settled = renew::settle(found.store, "setup", access::kCaptureWait); !settled)
    return settled.error();
  return found;
}

std::optional<Error> why_not_replaceable(const store::Inspection& before,
                                         const options::Environment& environment) {
  if (before.state != login::State::unreadable && !before.in_the_way) return std::nullopt;
  const health::Explanation words = health::explain(before, access::health_context(before, environment));
  return make_error(before.in_the_way ? ErrorKind::invalid : ErrorKind::permission,
                    words.headline + ". " + words.meaning,
                    fmt::format("{}", fmt::join(words.remedies, "\n")));
}

}  // namespace claude_init::setup
