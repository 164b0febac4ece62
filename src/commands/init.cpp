#include "commands/commands.h"
#include "ui/exit_status.h"
#include "ui/refusal.h"

namespace claude_init::commands {

int init_command(const options::Init& options, const options::Environment& environment,
                 const supervise::Inherited& inherited) {
  supervise::Command command;
  command.argv = options.command;
  command.env = environment.variables();
  const auto outcome = supervise::supervise_alone(inherited, options.supervision, command);
  if (!outcome) {
    return ui::refuse(outcome.error(), kExitSystem);
  }
  return outcome->exit_status;
}

}  // namespace claude_init::commands
