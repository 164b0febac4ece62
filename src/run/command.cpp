#include "run/command.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <utility>

#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/named.h"

namespace claude_init::run {
namespace {

constexpr std::size_t kMaxSettings = std::size_t{1} << 20;

/// "/" is what an account without passwd entry gets: no home.
bool can_use_home(const user::Account& account, int how) {
  const fs::ActAs as_target(account.identity());
  const std::string inside = account.home + "/.";
  return account.home != "/" && fs::access_by_rights(AT_FDCWD, inside, how) == 0;
}

/// Of all settings in the copy.
store::Named named_in(const workcopy::WorkingCopy& copy, const user::Account& account) {
  store::Named named;
  const auto config = copy.open_config_dir();
  const fs::ActAs as_target(account.identity());
  for (const char* name : {"settings.json", "settings.local.json"}) {
    if (!config) break;
    const auto file = fs::open_regular(config->get(), name, fs::Links::beneath);
    const auto text = file ? fs::read_all(*file, kMaxSettings, name) : Result<std::string>(file.error());
    if (!text) continue;
    store::Named more = store::named_by(*text);
    named.plugins |= more.plugins;
    for (store::NamedPath& path : more.paths) named.paths.push_back(std::move(path));
  }
  return named;
}

/// git does not work in a repository of another user's unless told so (safe.directory): on a machine with
/// many users it might run what one of them has configured. In a container it was mounted for this command.
void trust_directory(options::Environment& environment, const user::Account& account) {
  struct stat st {};
  if (::stat(".", &st) != 0 || st.st_uid == account.uid) return;
  std::array<char, PATH_MAX> buffer{};
  if (::getcwd(buffer.data(), buffer.size()) == nullptr) return;
  std::string repository(buffer.data());
  for (std::string above = repository; !above.empty(); above = fs::parent_of(above)) {
    if (::stat(fs::join(above, ".git").c_str(), &st) != 0) continue;
    repository = above;
    break;
  }
  unsigned count = 0;
  const std::string_view given = environment.get("GIT_CONFIG_COUNT");
  std::from_chars(given.data(), given.data() + given.size(), count);
  environment.set(fmt::format("GIT_CONFIG_KEY_{}", count), "safe.directory");
  environment.set(fmt::format("GIT_CONFIG_VALUE_{}", count), repository);
  environment.set("GIT_CONFIG_COUNT", std::to_string(count + 1));
}

/// Whether settings name, by way of ~/.claude, what the copy has, and another directory stands there.
bool lacks_what_the_copy_has(const workcopy::WorkingCopy& copy, const user::Account& account) {
  const store::Named named = named_in(copy, account);
  const fs::ActAs as_target(account.identity());
  const auto is_there = [](const std::string& path) {
    struct stat st {};
    return ::stat(path.c_str(), &st) == 0;
  };
  return std::any_of(named.paths.begin(), named.paths.end(), [&](const store::NamedPath& path) {
    if (path.from != store::NamedPath::From::home) return false;
    const std::string in_state = path.rest.substr(path.rest.find('/') + 1);
    return !is_there(fs::join(account.home, path.rest)) &&
           is_there(fs::join(copy.state().config_dir, in_state));
  });
}

}  // namespace

std::string choose_home(workcopy::WorkingCopy& copy, const user::Account& account, LinkHome link) {
  if (can_use_home(account, W_OK | X_OK)) {
    if (link == LinkHome::no) return account.home;
    copy.link_home(account.home);
    if (!lacks_what_the_copy_has(copy, account)) return account.home;
    log::info("the home directory has a ~/.claude without what the settings name",
              {{"home", account.home}, {"path", copy.root()}});
    return copy.make_home(account.home);
  }
  log::info("no home directory that can be written: HOME is the working copy",
            {{"home", account.home}, {"path", copy.root()}});
  return copy.make_home(can_use_home(account, R_OK | X_OK) ? account.home : "");
}

void check_what_settings_name(const workcopy::WorkingCopy& copy, const user::Account& account,
                              const std::string& home, bool has_programs) {
  const store::Named named = named_in(copy, account);
  const fs::ActAs as_target(account.identity());
  const bool noexec = copy.noexec();
  std::string missing;
  std::string not_run = noexec && named.plugins && has_programs ? "programs of plugins" : "";
  const auto add = [](std::string& list, const std::string& what) {
    list += (list.empty() ? "" : ", ") + printable(what);
  };
  for (const store::NamedPath& path : named.paths) {
    using From = store::NamedPath::From;
    const std::string start = path.from == From::home         ? home
                              : path.from == From::config_dir ? copy.state().config_dir
                                                              : "";
    const std::string resolved = start + '/' + path.rest;
    struct stat st {};
    if (::stat(resolved.c_str(), &st) != 0) {
      add(missing, path.written);
    } else if (noexec && path.from != From::root && S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR) != 0) {
      add(not_run, path.written);
    }
  }
  if (!missing.empty()) {
    log::warn("the settings name what is not there, and a hook that is not found stops nothing",
              {{"missing", missing},
               {"remedy",
                "write $CLAUDE_CONFIG_DIR/… for what lies in the configuration directory, and let it be "
                "copied (--copy=config)"}});
  }
  if (!not_run.empty()) {
    log::warn(
        "the settings call programs in the working copy, where none can be run (noexec)",
        {{"programs", not_run}, {"remedy", "give it a place where they can: docker run --tmpfs /tmp:exec"}});
  }
}

supervise::Command command_in(const workcopy::WorkingCopy& copy, const user::Account& account,
                              const std::string& home, options::Environment environment,
                              std::vector<std::string> argv, user::NewPrivileges new_privileges) {
  environment.set("CLAUDE_CONFIG_DIR", copy.state().config_dir);
  environment.set("HOME", home);
  environment.set("USER", account.name);
  environment.set("LOGNAME", account.name);
  if (fs::in_container()) trust_directory(environment, account);
  if (account.uid != ::geteuid()) environment.unset("XDG_RUNTIME_DIR");  // is ours, and closed to others
  supervise::Command command;
  command.argv = std::move(argv);
  command.env = environment.variables();
  command.before_exec = user::drop_to(account, new_privileges);
  return command;
}

}  // namespace claude_init::run
