#include "fs/mounts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/unique_fd.h"
#include "fs/file.h"

namespace claude_init::fs {
namespace {

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

/// Blank, tab, newline and backslash are written as \ooo.
std::string unescape(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '3' &&
        octal(text[i + 2]) && octal(text[i + 3])) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool has_option(std::string_view options, std::string_view name) {
  const auto parts = split(options, ',');
  return std::find(parts.begin(), parts.end(), name) != parts.end();
}

/// ID PARENT MAJOR:MINOR ROOT MOUNT_POINT OPTIONS [OPTIONAL…] - TYPE SOURCE SUPER_OPTIONS
std::optional<Mount> parse_line(std::string_view line) {
  const auto fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (dash - fields.begin() < 6 || fields.end() - dash < 4) return std::nullopt;
  const std::string_view options = fields[5];
  Mount mount;
  mount.root = unescape(fields[3]);
  mount.mount_point = unescape(fields[4]);
  mount.fs_type = unescape(dash[1]);
  mount.source = unescape(dash[2]);
  mount.read_only = has_option(options, "ro") || has_option(dash[3], "ro");
  mount.noexec = has_option(options, "noexec");
  if (!mount.mount_point.starts_with('/')) return std::nullopt;
  return mount;
}

/// 64 hexadecimal digits: what Docker and podman call a volume without a name.
bool is_id(std::string_view name) {
  constexpr std::size_t kDigits = 64;
  return name.size() == kDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_anonymous_volume(const Mount& mount) {
  return is_id(volume_name(mount));
}

bool lies_on(std::string_view path, std::string_view mount_point) {
  if (mount_point == "/") return path.starts_with('/');
  return path.starts_with(mount_point) &&
         (path.size() == mount_point.size() || path[mount_point.size()] == '/');
}

}  // namespace

Mounts parse_mountinfo(std::string_view text) {
  Mounts mounts;
  for (const std::string_view line : split(text, '\n')) {
    if (auto mount = parse_line(line)) mounts.push_back(std::move(*mount));
  }
  return mounts;
}

std::string volume_name(const Mount& mount) {
  constexpr std::string_view kVolumes = "/volumes/";
  constexpr std::string_view kData = "/_data";
  const std::string_view root = mount.root;
  const std::size_t at = root.rfind(kVolumes);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = root.substr(at + kVolumes.size());
  const std::size_t end = rest.find('/');
  if (end == std::string_view::npos || !rest.substr(end).starts_with(kData)) return {};
  return std::string(rest.substr(0, end));
}

std::string container_id(const Mounts& mounts) {
  for (const Mount& mount : mounts) {
    if (mount.mount_point != "/etc/hostname" && mount.mount_point != "/etc/hosts" &&
        mount.mount_point != "/etc/resolv.conf") {
      continue;
    }
    // The last: above it there may be a volume without a name, in which an engine inside a container has all.
    std::string id;
    for (const std::string_view part : split(mount.root, '/')) {
      if (is_id(part)) id = part;
    }
    if (!id.empty()) return id;
  }
  return {};
}

Result<Mounts> read_mounts() {
  constexpr const char* kPath = "/proc/self/mountinfo";
  constexpr std::size_t kLimit = std::size_t{16} << 20;
  const UniqueFd fd(::open(kPath, O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error(errno, std::string("open ") + kPath);
  const auto text = read_all(fd.get(), kLimit, kPath);
  if (!text) return text.error();
  return parse_mountinfo(*text);
}

const Mount* mount_of(const Mounts& mounts, std::string_view path) {
  const Mount* best = nullptr;
  for (const Mount& mount : mounts) {
    if (!lies_on(path, mount.mount_point)) continue;
    // A later mount on the same point covers the earlier one.
    if (best == nullptr || mount.mount_point.size() >= best->mount_point.size()) best = &mount;
  }
  return best;
}

bool is_mount_point(const Mounts& mounts, std::string_view path) {
  return std::any_of(mounts.begin(), mounts.end(), [&](const Mount& m) { return m.mount_point == path; });
}

Persistence persistence_of(const Mounts& mounts, std::string_view path) {
  const Mount* mount = mount_of(mounts, path);
  if (mount == nullptr || mount->mount_point == "/") return Persistence::container_layer;
  if (mount->fs_type == "tmpfs" || mount->fs_type == "ramfs") return Persistence::memory;
  if (is_anonymous_volume(*mount) || mount->root.find("/kubernetes.io~empty-dir/") != std::string::npos) {
    return Persistence::anonymous_volume;
  }
  return Persistence::mounted;
}

namespace {

std::optional<bool> found_in_container;  // it does not change

bool detect_container(const Mounts& mounts) {
  if (std::getenv("KUBERNETES_SERVICE_HOST") != nullptr || std::getenv("container") != nullptr) return true;
  // A virtual machine made from an image keeps that image's marker files, but its root is a whole disk; a
  // container's is an overlay, or a directory of another disk.
  const Mount* root = mount_of(mounts, "/");
  if (root != nullptr && root->root == "/" && root->source.starts_with("/dev/")) return false;
  if (::access("/.dockerenv", F_OK) == 0 || ::access("/run/.containerenv", F_OK) == 0) return true;
  return ::getpid() == 1 && root != nullptr && root->fs_type == "overlay";
}

}  // namespace

bool in_container(const Mounts& mounts) {
  if (!found_in_container) found_in_container = detect_container(mounts);
  return *found_in_container;
}

bool in_container() {
  if (found_in_container) return *found_in_container;
  const auto mounts = read_mounts();
  return in_container(mounts ? *mounts : Mounts());
}

}  // namespace claude_init::fs
