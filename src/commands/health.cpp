#include "health/health.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/output.h"
#include "commands/commands.h"
#include "commands/health_context.h"
#include "commands/store_path.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "fs/open.h"
#include "health/prometheus.h"
#include "log/log.h"
#include "options/exit_status.h"
#include "store/layout.h"
#include "store/store.h"
#include "workcopy/account.h"

namespace claude_init::commands {
namespace {

/// Whether the workload's user could read the login's refresh token, were it to look for the store.
bool can_read_refresh_token(const workcopy::Account& workload, const store::Inspection& inspection) {
  if (!inspection.login || !inspection.login->has_refresh_token) return false;
  const fs::ActAs as({workload.uid, workload.gid});
  const std::string path = fs::join(inspection.path, store::kCredentials);
  if (as.effective() && ::faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) == 0) return true;
  // Its supplementary groups are not among our rights.
  const auto& groups = workload.groups;
  return (inspection.file_mode & 0040) != 0 &&
         std::find(groups.begin(), groups.end(), inspection.file_owner.gid) != groups.end();
}

/// What --format asks for.
std::string report(options::Health::Format format, const store::Inspection& inspection,
                   const health::Context& context) {
  using Format = options::Health::Format;
  if (format == Format::json) return health::as_json(inspection, context);
  if (format == Format::text) return health::as_text(inspection, context);
  health::Metrics metrics(health::Exposition::text);
  health::add_logins(metrics, {{inspection.path, &inspection}}, context.now);
  return std::move(metrics).finish();
}

}  // namespace

int health_command(const options::Health& options, const options::Environment& environment) {
  const auto account = workcopy::choose_account(options.user, environment.get("HOME"));
  if (!account) {
    log::failure(log::Level::error, account.error());
    return kExitUnhealthy;
  }
  const std::string path = choose_store(options.store, account->home, environment);
  const store::Inspection inspection = store::inspect(path, unix_now());
  health::Context context = health_context(inspection, environment);
  if (can_read_refresh_token(*account, inspection)) context.exposed_to = account->name;
  write_all(STDOUT_FILENO, report(options.output(), inspection, context));
  return health::is_healthy(inspection.state) ? kExitOk : kExitUnhealthy;
}

}  // namespace claude_init::commands
