#include "commands/health_context.h"

#include <boost/filesystem/operations.hpp>
#include <string>

#include "commands/console.h"
#include "commands/store_access.h"
#include "commands/store_path.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "fs/open.h"
#include "login/login.h"
#include "store/layout.h"

namespace claude_init::commands {

std::vector<std::string> shadowing_variables(const options::Environment& environment) {
  return login::shadowing_variables([&](std::string_view name) { return environment.get(name); });
}

health::Context health_context(const store::Inspection& inspection, const options::Environment& environment) {
  health::Context context;
  context.now = unix_now();
  const auto read = fs::read_mounts();
  const fs::Mounts mounts = read ? *read : fs::Mounts();
  context.in_container = fs::in_container(mounts);
  // A store is read with the rights of its root's owner, where we may take them.
  const fs::ActAs as(inspection.owner);
  const bool exists = inspection.state != login::State::no_store;
  context.reader = exists && as.effective() ? inspection.owner : fs::current_identity();
  context.shadowing = shadowing_variables(environment);
  context.base_url = environment.get("ANTHROPIC_BASE_URL");
  if (exists && !mounts.empty()) {
    boost::system::error_code ec;
    const std::string resolved = boost::filesystem::weakly_canonical(inspection.path, ec).string();
    const std::string real = ec ? inspection.path : resolved;  // mountinfo knows resolved names only
    context.in_image =
        context.in_container && fs::persistence_of(mounts, real) == fs::Persistence::container_layer;
    context.file_mounted = fs::is_mount_point(mounts, fs::join(real, store::kCredentials));
  }
  context.setup_command = setup_command_line(inspection.path, context.in_container, environment, &mounts);
  return context;
}

void tell(log::Level level, std::string_view before, const health::Explanation& words,
          const options::Environment& environment) {
  const std::string headline = std::string(before) + words.headline;
  if (log::format() == log::Format::json) {
    std::string remedies;
    for (const auto& remedy : words.remedies) remedies += (remedies.empty() ? "" : "; ") + remedy;
    return log::write(level, headline, {{"meaning", words.meaning}, {"remedy", remedies}});
  }
  const Console console(is_plain(environment));
  if (level == log::Level::error) {
    console.bad(headline);
  } else {
    console.warning(headline);
  }
  console.text(words.meaning);
  for (const auto& remedy : words.remedies) console.text("→ " + remedy);
}

}  // namespace claude_init::commands
