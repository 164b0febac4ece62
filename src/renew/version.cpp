#include "renew/version.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "base/unique_fd.h"
#include "log/last_words.h"
#include "renew/environment.h"
#include "user/privileges.h"

namespace claude_init::renew {

/// In /dev/null nothing can be made. A CLI that needs more than that (1.0.128) is asked when it renews, in
/// the renewal's own directory.
void VersionQuery::ask(const store::RenewerNote::Program& program,
                       const std::vector<std::string>& environment, const user::Account& who, Then then) {
  const auto input = std::make_shared<UniqueFd>(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const auto make = [&](int output) {
    supervise::Command command;
    command.argv = {program.path, "--version"};
    command.env = environment_for_renewal(environment, {});
    command.env.insert(command.env.end(), {"HOME=/dev/null", "CLAUDE_CONFIG_DIR=/dev/null/none"});
    command.directory = "/";
    command.before_exec = [drop = user::drop_to_helper(who), in = input->get(), output] {
      if (const int error = drop(); error != 0) return error;
      for (const auto& [from, to] : {std::pair(in, STDIN_FILENO), std::pair(output, STDOUT_FILENO),
                                     std::pair(output, STDERR_FILENO)}) {
        if (::dup2(from, to) < 0) return errno;
      }
      return 0;
    };
    return command;
  };
  helper_.run(make, kVersionLimit, [this, then = std::move(then)](const loop::ChildChange&) {
    then(version_in(helper_.output()));
  });
}

std::optional<cli::Version> version_in(int output) {
  return cli::parse_version(log::last_words(output, 1));
}

}  // namespace claude_init::renew
