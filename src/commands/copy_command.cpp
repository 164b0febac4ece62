#include "commands/copy_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "fs/identity.h"
#include "log/log.h"

namespace claude_init::commands {
namespace {

/// The account's home directory; the working copy where it has none that it can enter. "/" is what an account
/// without passwd entry gets: no home.
std::string home_for(const workcopy::Account& account, const workcopy::WorkingCopy& copy) {
  const fs::ActAs as_target(account.identity());
  const std::string inside = account.home + "/.";
  if (account.home != "/" && ::faccessat(AT_FDCWD, inside.c_str(), X_OK, AT_EACCESS) == 0)
    return account.home;
  log::info("no home directory: HOME is the working copy", {{"home", account.home}, {"path", copy.root()}});
  return copy.root();
}

}  // namespace

supervise::Command command_in(const workcopy::WorkingCopy& copy, const workcopy::Account& account,
                              options::Environment environment, std::vector<std::string> argv,
                              workcopy::NewPrivileges new_privileges) {
  environment.set("CLAUDE_CONFIG_DIR", copy.state().config_dir);
  environment.set("HOME", home_for(account, copy));
  environment.set("USER", account.name);
  environment.set("LOGNAME", account.name);
  if (account.uid != ::geteuid()) environment.unset("XDG_RUNTIME_DIR");  // is ours, and closed to others
  supervise::Command command;
  command.argv = std::move(argv);
  command.env = environment.variables();
  command.before_exec = workcopy::drop_to(account, new_privileges);
  return command;
}

}  // namespace claude_init::commands
