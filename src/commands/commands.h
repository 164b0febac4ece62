#pragma once

#include "options/environment.h"
#include "options/options.h"
#include "supervise/supervisor.h"

/// One function a subcommand, one file each; every one returns the process's exit status.
namespace claude_init::commands {

int init_command(const options::Init& options, const options::Environment& environment,
                 const supervise::Inherited& inherited);
int setup_command(const options::Setup& options, const options::Environment& environment,
                  const supervise::Inherited& inherited);
int run_command(const options::Run& options, const options::Environment& environment,
                const supervise::Inherited& inherited);
int keep_command(const options::Keep& options, const options::Environment& environment,
                 const supervise::Inherited& inherited);
int renew_command(const options::Renew& options, const options::Environment& environment,
                  const supervise::Inherited& inherited);
int health_command(const options::Health& options, const options::Environment& environment,
                   const supervise::Inherited& inherited);
int capture_command(const options::Capture& options, const options::Environment& environment);
int restore_command(const options::Restore& options, const options::Environment& environment);
int history_command(const options::History& options, const options::Environment& environment);

}  // namespace claude_init::commands
