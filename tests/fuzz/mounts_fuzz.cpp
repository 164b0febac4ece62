// libFuzzer over the mountinfo parser: no input may crash it, and what it finds can be asked.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fs/mounts.h"

using namespace claude_init::fs;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto mounts = parse_mountinfo(text);
  for (const Mount& mount : mounts) {
    if (!mount.mount_point.starts_with('/')) std::abort();
    if (!is_mount_point(mounts, mount.mount_point)) std::abort();
    const Mount* on = mount_of(mounts, mount.mount_point);
    if (on == nullptr || on->mount_point.size() > mount.mount_point.size()) std::abort();
    (void)persistence_of(mounts, mount.mount_point + "/below");
  }
  return 0;
}
