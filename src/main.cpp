#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <boost/system/system_error.hpp>
#include <cstdlib>
#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "base/interrupt.h"
#include "base/output.h"
#include "commands/commands.h"
#include "log/log.h"
#include "options/engine.h"
#include "options/options.h"
#include "supervise/supervisor.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/remedies.h"

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

/// What is opened later must not become a standard stream, to which something may be written.
void fill_standard_streams() {
  std::array<pollfd, 3> streams{{{STDIN_FILENO, 0, 0}, {STDOUT_FILENO, 0, 0}, {STDERR_FILENO, 0, 0}}};
  if (::poll(streams.data(), streams.size(), 0) < 0)
    streams.fill({-1, 0, POLLNVAL});  // not known: all are tried
  for (int fd = 0; fd < static_cast<int>(streams.size()); ++fd) {
    if ((streams[static_cast<std::size_t>(fd)].revents & POLLNVAL) == 0 || ::fcntl(fd, F_GETFD) >= 0)
      continue;
    // The lowest number that is free, which is this one. Where there is no /dev/null something that cannot be
    // written.
    if (::open("/dev/null", O_RDWR) < 0) static_cast<void>(::open("/", O_RDONLY | O_DIRECTORY));
  }
}

int status_at_end(int status) {
  interrupt::stop_listening();
  return interrupt::number() != 0 ? 128 + interrupt::number() : status;
}

int main_status(int argc, char** argv, char** envp) {
  fill_standard_streams();
  open_for_us_alone(STDERR_FILENO);
  // From here on no signal is lost.
  const supervise::Inherited inherited = supervise::take_over_signals();
  // Tokens pass through our memory: no core dump, no ptrace by the workload's user.
  ::prctl(PR_SET_DUMPABLE, 0);

  options::Environment environment(envp);
  const auto parsed = options::parse(std::vector<std::string>(argv + 1, argv + argc), environment);
  if (const auto* reply = std::get_if<options::Reply>(&parsed)) {
    interrupt::listen();  // who is to read it may take any time
    if (reply->exit_status == kExitOk) return status_at_end(ui::print(reply->text));
    static_cast<void>(write_all(STDERR_FILENO, reply->text));
    return status_at_end(reply->exit_status);
  }
  const auto& line = std::get<options::CommandLine>(parsed);
  log::configure(line.logging.level, line.logging.format);
  for (const std::string& warning : line.warnings) log::warn(warning);
  // Read where it is known what to say, and by what the command runs of ours.
  if (!line.advice.login_command.empty()) environment.set(options::kLoginCommand, line.advice.login_command);
  ui::be_started_by(options::engine_of(environment));
  if (std::holds_alternative<options::Init>(line.subcommand))
    return dispatch(line.subcommand, environment, inherited);
  // Until supervision begins: what is copied and waited for on the way there ends with a signal.
  interrupt::listen();
  return status_at_end(dispatch(line.subcommand, environment, inherited));
}

}  // namespace
}  // namespace claude_init

/// The one of libstdc++ prints the type of an exception that nothing has caught, and links a demangler for
/// that. main() catches all.
void __gnu_cxx::__verbose_terminate_handler() {
  std::abort();
}

int main(int argc, char** argv, char** envp) {
  try {
    return claude_init::main_status(argc, argv, envp);
  } catch (const boost::system::system_error& e) {
    claude_init::log::failure(
        claude_init::log::Level::error,
        claude_init::system_error(e.code().value(), "have the system tell us of events"),
        claude_init::name_of_exit_status(claude_init::kExitSystem));
    return claude_init::kExitSystem;
  } catch (const std::exception& e) {
    claude_init::log::error(
        "internal fault",
        {{"error", claude_init::name_of_exit_status(claude_init::kExitInternal)}, {"what", e.what()}});
    return claude_init::kExitInternal;
  }
}
