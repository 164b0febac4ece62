#include "access/shadows.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <memory>

#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/file.h"
#include "fs/open.h"
#include "login/shadow.h"
#include "store/state_file.h"
#include "store/store.h"

namespace claude_init::access {
namespace {

using login::Settings;

constexpr std::size_t kMaxSettings = std::size_t{1} << 20;
constexpr const char* kManaged = "/etc/claude-code";

void add(std::vector<std::string>& found, std::string_view text, Settings whose, const std::string& path) {
  for (const std::string& what : login::shadowing_settings(text, whose))
    found.push_back(what + " in " + printable(path));
}

/// With our own rights: of a file only what its keys are called is told.
void add_shadows_in(std::vector<std::string>& found, const std::string& path, Settings whose) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return;
  const auto text = fs::read_all(fd.get(), kMaxSettings, path);
  if (text) add(found, *text, whose, path);
}

}  // namespace

std::vector<std::string> shadowing_variables(const options::Environment& environment) {
  return login::shadowing_variables([&](std::string_view name) { return environment.get(name); });
}

std::vector<std::string> shadowing_settings(const std::string& path) {
  std::vector<std::string> found;
  if (const auto store = store::Store::open(path)) {
    const store::StateFile settings = store::read_state_file(store->tree(), "settings.json");
    if (settings.text) add(found, settings.text->reveal(), Settings::user, fs::join(path, "settings.json"));
  }
  add_shadows_in(found, fs::join(kManaged, "managed-settings.json"), Settings::managed);
  const std::string more = fs::join(kManaged, "managed-settings.d");
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(more.c_str()), &::closedir);
  while (const dirent* entry = directory ? ::readdir(directory.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (name.ends_with(".json")) add_shadows_in(found, fs::join(more, name), Settings::managed);
  }
  boost::system::error_code ec;
  const std::string here = boost::filesystem::current_path(ec).string();
  if (ec) return found;
  for (const char* name : {"settings.json", "settings.local.json"})
    add_shadows_in(found, fs::join(fs::join(here, ".claude"), name), Settings::project);
  return found;
}

}  // namespace claude_init::access
