#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "base/output.h"
#include "commands/commands.h"
#include "commands/console.h"
#include "commands/engine.h"
#include "fs/advice.h"
#include "log/log.h"
#include "options/exit_status.h"
#include "options/options.h"
#include "supervise/supervisor.h"

namespace claude_init {
namespace {

int dispatch(const options::Subcommand& subcommand, const options::Environment& environment,
             const supervise::Inherited& inherited) {
  if (const auto* init = std::get_if<options::Init>(&subcommand)) {
    return commands::init_command(*init, environment, inherited);
  }
  if (const auto* setup = std::get_if<options::Setup>(&subcommand)) {
    return commands::setup_command(*setup, environment, inherited);
  }
  if (const auto* run = std::get_if<options::Run>(&subcommand)) {
    return commands::run_command(*run, environment, inherited);
  }
  if (const auto* keep = std::get_if<options::Keep>(&subcommand)) {
    return commands::keep_command(*keep, environment, inherited);
  }
  if (const auto* renew = std::get_if<options::Renew>(&subcommand)) {
    return commands::renew_command(*renew, environment, inherited);
  }
  if (const auto* capture = std::get_if<options::Capture>(&subcommand)) {
    return commands::capture_command(*capture, environment);
  }
  if (const auto* restore = std::get_if<options::Restore>(&subcommand)) {
    return commands::restore_command(*restore, environment);
  }
  if (const auto* history = std::get_if<options::History>(&subcommand)) {
    return commands::history_command(*history, environment);
  }
  return commands::health_command(std::get<options::Health>(subcommand), environment, inherited);
}

int main_status(int argc, char** argv, char** envp) {
  // First of all: from here on no signal is lost.
  const supervise::Inherited inherited = supervise::take_over_signals();
  // Tokens pass through our memory: no core dump, no ptrace by the workload's user.
  ::prctl(PR_SET_DUMPABLE, 0);

  const options::Environment environment(envp);
  const auto parsed = options::parse(std::vector<std::string>(argv + 1, argv + argc), environment);
  if (const auto* reply = std::get_if<options::Reply>(&parsed)) {
    if (reply->exit_status == kExitOk) return commands::print(reply->text);
    static_cast<void>(write_all(STDERR_FILENO, reply->text));
    return reply->exit_status;
  }
  const auto& line = std::get<options::CommandLine>(parsed);
  log::configure(line.logging.level, line.logging.format);
  for (const std::string& warning : line.warnings) log::warn(warning);
  fs::be_started_by(commands::engine_of(environment));
  return dispatch(line.subcommand, environment, inherited);
}

}  // namespace
}  // namespace claude_init

int main(int argc, char** argv, char** envp) {
  try {
    return claude_init::main_status(argc, argv, envp);
  } catch (const std::exception& e) {
    claude_init::log::error("internal fault", {{"what", e.what()}});
    return claude_init::kExitInternal;
  }
}
