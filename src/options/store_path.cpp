#include "options/store_path.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>

#include "base/text.h"
#include "fs/mounts.h"
#include "options/kept_stores.h"
#include "ui/remedies.h"

namespace claude_init::options {
namespace {

// The documented place, as a shell on the host expands it. A placeholder would be taken for a volume's name.
constexpr const char* kUsualHostSide = "\"${CLAUDE_HUB_DIR:-$HOME/.claude-hub}\"";

// Where a store is found in our images without being named, whatever HOME is.
constexpr std::array<std::string_view, 3> kFound{"/claude-auth", "/auth-output", "/home/node/.claude"};

bool exists(const std::string& path) {
  struct stat st {};
  return ::stat(path.c_str(), &st) == 0;
}

std::string absolute(const std::string& path) {
  namespace bfs = boost::filesystem;
  boost::system::error_code ec;
  const bfs::path full = bfs::absolute(bfs::path(path), ec).lexically_normal();
  std::string text = ec ? path : full.string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  if (text.size() > 2 && text.ends_with("/.")) text.resize(text.size() - 2);
  return text;
}

}  // namespace

std::string choose_store(const std::string& option, std::string_view home,
                         const options::Environment& environment) {
  if (!option.empty()) return absolute(option);
  for (const char* usual : {"/claude-auth", "/auth-output"}) {
    if (exists(usual)) return usual;
  }
  const std::string in_home = std::string(home) + "/.claude";
  if (const auto mounts = fs::read_mounts(); mounts && fs::is_mount_point(*mounts, in_home)) return in_home;
  if (!fs::in_container()) {
    const std::string_view hub = environment.get("CLAUDE_HUB_DIR");
    return absolute(hub.empty() ? std::string(home) + "/.claude-hub" : std::string(hub));
  }
  return std::string(kDefaultStore);
}

std::string host_side_of(const std::string& store, const options::Environment& environment,
                         const fs::Mounts* mounts) {
  const std::string_view hub = environment.get("CLAUDE_HUB_DIR");
  if (!hub.empty()) return shell_quote(hub);
  const auto read = mounts == nullptr ? fs::read_mounts() : fs::Mounts();
  if (mounts == nullptr && read) mounts = &*read;
  const fs::Mount* mount = mounts != nullptr ? fs::mount_of(*mounts, store) : nullptr;
  const std::string volume = mount != nullptr ? fs::volume_name(*mount) : "";
  return volume.empty() ? kUsualHostSide : shell_quote(volume);
}

std::string with_name(std::string text, std::string_view name) {
  for (std::size_t at = 0; (at = text.find(options::kNamePlace, at)) != std::string::npos; at += name.size())
    text.replace(at, options::kNamePlace.size(), name);
  return text;
}

std::string setup_command_line(const std::string& store, bool in_container,
                               const options::Environment& environment, const fs::Mounts* mounts) {
  const std::string_view told = environment.get(kLoginCommand);
  if (!told.empty()) {
    const auto name = options::name_of_directory(store);
    return name ? with_name(std::string(told), *name) : std::string(told);
  }
  if (!in_container) return "claude-init setup --store " + shell_quote(store);
  return ui::engine_command() + std::string(" run -it --rm ") +
         mounted(host_side_of(store, environment, mounts), store) + " claude-setup";
}

std::string mounted(const std::string& host_side, const std::string& store, std::string_view mode) {
  std::string words = "-v " + host_side + ':' + shell_quote(store) + std::string(mode);
  if (std::find(kFound.begin(), kFound.end(), store) == kFound.end())
    words += " -e CLAUDE_INIT_STORE=" + shell_quote(store);
  return words;
}

}  // namespace claude_init::options
