#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace claude_init::fs {

/// One line of /proc/self/mountinfo (proc(5)), with its octal escapes undone.
struct Mount {
  std::string root;  // of the mount within its file system: "/var/lib/docker/volumes/NAME/_data"
  std::string mount_point;
  std::string fs_type;  // "ext4", "tmpfs", "overlay", …
  std::string source;
  bool read_only = false;  // by mount options or by the superblock's
  bool noexec = false;
};
using Mounts = std::vector<Mount>;

/// Parses mountinfo; lines that cannot be understood are passed over (a newer kernel must not stop us).
[[nodiscard]] Mounts parse_mountinfo(std::string_view text);
[[nodiscard]] Result<Mounts> read_mounts();

/// What a directory is, as far as keeping something in it is concerned.
enum class Persistence {
  mounted,           // a bind mount, a named volume, a disk: survives the container
  anonymous_volume,  // a volume that the engine named itself (lost with `docker run --rm`) or an emptyDir
  memory,            // tmpfs, ramfs: is lost with the container
  container_layer,   // no mount at all: the container's own layer
};
/// The mount that `path` (absolute, resolved) lies on, by longest mount point; nullptr if none.
[[nodiscard]] const Mount* mount_of(const Mounts& mounts, std::string_view path);
/// The name of an engine's volume (its directory is …/volumes/NAME/_data); "" where it is none.
[[nodiscard]] std::string volume_name(const Mount& mount);
/// The id by which an engine knows the container we are in: it mounts `/etc/hostname` and its like from a
/// directory of that name. "" where it does not (Kubernetes, chroot, a host).
[[nodiscard]] std::string container_id(const Mounts& mounts);
/// Whether `path` itself is a mount point.
[[nodiscard]] bool is_mount_point(const Mounts& mounts, std::string_view path);
[[nodiscard]] Persistence persistence_of(const Mounts& mounts, std::string_view path);

/// Whether we run inside a container (Docker, podman, Kubernetes, any OCI runtime): KUBERNETES_SERVICE_HOST
/// or $container is set; or, where the root is not a whole disk, /.dockerenv or /run/.containerenv is there,
/// or it is an overlay and we are PID 1.
[[nodiscard]] bool in_container();
/// The same, where the mounts have been read already.
[[nodiscard]] bool in_container(const Mounts& mounts);

}  // namespace claude_init::fs
