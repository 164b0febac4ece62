#include "setup/other_cli.h"

#include <fmt/format.h>

#include "access/wait.h"
#include "cli/known.h"
#include "renew/program.h"
#include "renew/version.h"
#include "store/renewer_note.h"

namespace claude_init::setup {

/// A signal that stops the wait stops the session, too, a moment later.
void warn_of_other_cli(const supervise::Loop& loop, const FoundStore& found,
                       const options::Environment& environment, const user::Account& account,
                       const ui::Console& console) {
  const auto keeper = cli::parse_version(store::read_renewer_note(found.store.tree()).keeper);
  const auto program = renew::program_of({"claude"}, environment.variables());
  if (!keeper || !program) return;
  renew::VersionQuery query(loop);
  std::optional<cli::Version> here;
  query.ask(*program, environment.variables(), account, [&](const auto& version) { here = version; });
  access::Wait wait;
  wait.limit = 2 * renew::kVersionLimit;
  wait.over = [&] { return !query.is_asking(); };
  wait.renewer = [] { return nullptr; };
  static_cast<void>(access::wait_until_over(loop, wait));
  const std::string lacks = here ? cli::what_older_lacks(*here, *keeper) : "";
  if (lacks.empty()) return;
  console.warning(fmt::format("Claude Code is {} here, and {} in the keeper: {}.", cli::text_of(*here),
                              cli::text_of(*keeper), lacks));
  console.text("Build both images with the same CLAUDE_CODE_VERSION.");
}

}  // namespace claude_init::setup
