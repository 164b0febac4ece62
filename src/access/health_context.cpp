#include "access/health_context.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/filesystem/operations.hpp>
#include <string>
#include <utility>

#include "access/shadows.h"
#include "access/store_access.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "fs/open.h"
#include "health/notes.h"
#include "options/store_path.h"
#include "store/inspect.h"
#include "store/layout.h"
#include "ui/console.h"
#include "ui/exit_status.h"
#include "ui/remedies.h"

namespace claude_init::access {
namespace {

std::vector<std::string> shadows(const std::string& store, const options::Environment& environment) {
  std::vector<std::string> all = shadowing_variables(environment);
  for (std::string& setting : shadowing_settings(store)) all.push_back(std::move(setting));
  return all;
}

/// What lies in a store beside a login that can be read, and cannot be itself.
std::string how_to_read_rest(const store::Inspection& seen, const health::Context& context) {
  if (context.reader.uid == seen.owner.uid)
    return ui::how_to_give(seen.path, seen.owner, context.in_container);
  return context.in_container
             ? ui::how_to_run_as(seen.owner)
             : fmt::format("it is its owner's, uid {0}, alone to read: sudo -u '#{0}'", seen.owner.uid);
}

}  // namespace

std::vector<std::string> environment_notes(const std::string& store,
                                           const options::Environment& environment) {
  health::Context context;
  context.shadowing = shadows(store, environment);
  context.base_url = environment.get("ANTHROPIC_BASE_URL");
  return health::notes_on_environment(context);
}

fs::Identity reader_of(const store::Inspection& inspection) {
  if (inspection.mode == 0) return fs::current_identity();  // whose it is is not known
  const fs::ActAs as(inspection.owner);
  return as.effective() ? inspection.owner : fs::current_identity();
}

health::Context health_context(const store::Inspection& inspection, const options::Environment& environment) {
  health::Context context;
  context.now = unix_now();
  const auto read = fs::read_mounts();
  const fs::Mounts mounts = read ? *read : fs::Mounts();
  context.in_container = fs::in_container(mounts);
  const bool exists = inspection.state != login::State::no_store;
  context.reader = reader_of(inspection);
  context.shadowing = shadows(inspection.path, environment);
  const fs::ActAs as(context.reader);
  context.base_url = environment.get("ANTHROPIC_BASE_URL");
  if (exists && !mounts.empty()) {
    boost::system::error_code ec;
    const std::string resolved = boost::filesystem::weakly_canonical(inspection.path, ec).string();
    const std::string real = ec ? inspection.path : resolved;  // mountinfo knows resolved names only
    context.in_image =
        context.in_container && fs::persistence_of(mounts, real) == fs::Persistence::container_layer;
    context.file_mounted = fs::is_mount_point(mounts, fs::join(real, store::kCredentials));
  }
  context.setup_command =
      options::setup_command_line(inspection.path, context.in_container, environment, &mounts);
  context.told_setup_command = !environment.get(options::kLoginCommand).empty();
  return context;
}

Error with_how_to_read(Error error, const std::string& store, const options::Environment& environment) {
  if (!error.remedy.empty()) return error;
  const store::Inspection seen = store::inspect(store, unix_now());
  const bool is_there = seen.state != login::State::no_store;
  if (is_there && error.kind != ErrorKind::permission) return error;
  const health::Context context = health_context(seen, environment);
  if (is_there && seen.state != login::State::unreadable) {  // the login is not among what may not be read
    error.remedy = how_to_read_rest(seen, context);
    return error;
  }
  for (const std::string& remedy : health::explain(seen, context).remedies)
    error.remedy += (error.remedy.empty() ? "" : "\n") + remedy;
  return error;
}

void print_explanation(log::Level level, std::string_view before, const health::Explanation& words,
                       const options::Environment& environment, int status) {
  const std::string_view name = name_of_exit_status(status);
  const std::string headline = std::string(before) + words.headline;
  if (log::format() == log::Format::json) {
    log::write(level, headline,
               {{"error", name},
                {"meaning", words.meaning},
                {"remedy", fmt::format("{}", fmt::join(words.remedies, "; "))}});
    for (const auto& note : words.notes) log::warn(note);
    return;
  }
  const ui::Console console(is_plain(environment));
  if (level == log::Level::error) {
    console.bad(headline, name);
  } else {
    console.warning(headline);
  }
  console.text(words.meaning);
  for (const auto& remedy : words.remedies) console.remedy(remedy);
  for (const auto& note : words.notes) console.text("note: " + note);
}

}  // namespace claude_init::access
