#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace claude_init::options {

/// One of the stores that `keep` keeps.
struct KeptStore {
  std::string name;       // unique; "" for one that is to be found, which is then called like its directory
  std::string directory;  // "" = found as options/store_path.h says
  std::string publish{};  // the directory of its published store; "" = none
  std::string placeholder{};  // that of the one without any token; "" = none
};

/// What stands for a store's name in --login-command.
inline constexpr std::string_view kNamePlace = "{name}";

/// The first word in braces that is not that, with them; "" if there is none. "${WORD}" is the shell's.
[[nodiscard]] std::string unknown_place(std::string_view text);

/// The words of --store, --publish and --publish-placeholder, each "[NAME=]DIR". A store without a name is
/// called like the last part of its directory; a published one without a name belongs to the only store.
/// Never empty. Error: usage.
[[nodiscard]] Result<std::vector<KeptStore>> kept_stores(const std::vector<std::string>& stores,
                                                         const std::vector<std::string>& published,
                                                         const std::vector<std::string>& placeholders = {});

/// What a store may be called: 1 to 64 letters, digits, "-", "_" and ".", no "." in front: it becomes a part
/// of a URL and a label of metrics.
[[nodiscard]] bool is_store_name(std::string_view name);

/// The last part of a directory's path, as a store's name. Error: usage (it is none).
[[nodiscard]] Result<std::string> name_of_directory(const std::string& directory);

}  // namespace claude_init::options
