#include "health/health.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include "access/health_context.h"
#include "access/sealing.h"
#include "cli/known.h"
#include "commands/commands.h"
#include "fs/identity.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "health/prometheus.h"
#include "live/live.h"
#include "options/store_path.h"
#include "store/inspect.h"
#include "store/layout.h"
#include "store/provenance.h"
#include "store/renewer_note.h"
#include "store/store.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/refusal.h"
#include "user/account.h"

namespace claude_init::commands {
namespace {

/// Whether the workload's user could read the login's refresh token, were it to look for the store.
bool can_read_refresh_token(const user::Account& workload, const store::Inspection& inspection) {
  if (!inspection.login || !inspection.login->has_refresh_token || inspection.sealed) return false;
  const fs::ActAs as({workload.uid, workload.gid});
  const std::string path = fs::join(inspection.path, store::kCredentials);
  if (as.effective() && fs::access_by_rights(AT_FDCWD, path, R_OK) == 0) return true;
  // Its supplementary groups are not among our rights.
  const auto& groups = workload.groups;
  return (inspection.file_mode & 0040) != 0 &&
         std::find(groups.begin(), groups.end(), inspection.file_owner.gid) != groups.end();
}

/// What --format asks for.
std::string report(options::Format format, const store::Inspection& inspection,
                   const health::Context& context) {
  using options::Format;
  if (format == Format::json) return health::as_json(inspection, context);
  if (format == Format::text) return health::as_text(inspection, context);
  health::Metrics metrics(health::Exposition::text);
  health::add_logins(metrics,
                     {{inspection.path, &inspection, inspection.state, health::is_healthy(inspection.state)}},
                     context.now);
  if (const auto& live = context.live) {
    const std::string store = fmt::format("store=\"{}\"", health::metric_label(inspection.path));
    metrics.family("claude_init_login_answered", "gauge", "1 if the server answered the CLI.");
    metrics.sample("claude_init_login_answered", store, live->works ? 1 : 0);
    metrics.family("claude_init_login_tried_timestamp_seconds", "gauge", "When that was tried.");
    metrics.sample("claude_init_login_tried_timestamp_seconds", store, static_cast<double>(live->at) / 1000);
  }
  return std::move(metrics).finish();
}

/// "2.1.332 (tested)"; "" where this store was never renewed.
std::string renewer_of(const Result<store::Store>& store) {
  const auto version = cli::parse_version(store ? store::read_renewer_note(store->tree()).version : "");
  return version ? cli::described(*version) : "";
}

/// That it is a copy, as far as that can be seen.
std::optional<Error> why_copied(const Result<store::Store>& store) {
  const auto identity = store ? store::check_identity(*store) : Result<void>(Done{});
  if (identity || identity.error().remedy.empty()) return std::nullopt;
  return identity.error();
}

}  // namespace

/// 1. What the store has.
/// 2. What the server says to it, if that is asked for and can be: a login that it does not accept is dead,
/// whatever its deadlines are.
/// 3. The words and the status.
int health_command(const options::Health& options, const options::Environment& environment,
                   const supervise::Inherited& inherited) {
  const auto account = user::choose_account(options.user, environment.get("HOME"));
  if (!account) return ui::refuse(account.error());
  // 1.
  const std::string path = options::choose_store(options.store, account->home, environment);
  store::StoreOptions opening;
  if (const auto taken = access::take_seal_key(options.sealing, path, opening); !taken)
    return ui::refuse(taken.error());
  store::Inspection inspection = store::inspect(path, unix_now(), opening);
  // 2.
  std::optional<health::Live> live;
  if (options.live && inspection.state == login::State::usable) {
    auto tried = live::try_login(options, environment, *account, inspection, inherited);
    if (const int* stopped = std::get_if<int>(&tried)) return 128 + *stopped;
    live = std::get<health::Live>(std::move(tried));
    if (live->rejected) inspection.state = login::State::dead;
  }
  // 3.
  health::Context context = access::health_context(inspection, environment);
  context.live = std::move(live);
  const auto store = store::Store::open(path);
  context.copied = why_copied(store);
  context.renewer = renewer_of(store);
  // On a host it is a person's own login, which is theirs to read.
  const bool own = !context.in_container && account->uid == ::geteuid();
  if (!own && can_read_refresh_token(*account, inspection)) {
    context.exposed_to = account->name;
    context.can_be_hidden = ::geteuid() == 0 && account->uid != 0;
  }
  if (const int failed = ui::print(report(options.output.chosen(), inspection, context)); failed != kExitOk)
    return failed;
  const bool healthy = health::is_healthy(inspection, context);
  if (!options.detailed_exit_code) return healthy ? kExitOk : kExitUnhealthy;
  const int code = exit_code_of(inspection.state);
  return code == kExitOk && !healthy ? kExitNoAnswer : code;
}

}  // namespace claude_init::commands
