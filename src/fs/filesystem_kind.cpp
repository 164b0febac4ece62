#include "fs/filesystem_kind.h"

#include <sys/statfs.h>

#include <algorithm>
#include <array>

namespace claude_init::fs {
namespace {

// linux/magic.h and, for what is not in it, the file systems' own sources. Cluster file systems count as
// network ones: several machines have them mounted.
constexpr std::array<unsigned long, 19> kNetwork{
    0x6969,      // NFS
    0x517b,      // SMB
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x564c,      // NCP
    0x01021997,  // 9p: virtual machines, WSL
    0x65735546,  // FUSE: sshfs, virtiofs, Docker Desktop's file sharing
    0x00c36400,  // Ceph
    0x5346414f,  // AFS
    0x6b414653,  // kAFS
    0x73757245,  // Coda
    0x0bd00bd0,  // Lustre
    0x47504653,  // GPFS
    0x01161970,  // GFS2
    0x7461636f,  // OCFS2
    0x786f4256,  // VirtualBox shared folders
    0xbacbacbc,  // VMware shared folders
    0x7c7c6673,  // Parallels shared folders
    0xaad7aaea,  // PanFS
};
constexpr unsigned long kOverlay = 0x794c7630;

}  // namespace

FilesystemKind kind_of_magic(unsigned long magic) {
  // f_type is signed, and on some machines sign-extended.
  magic &= 0xffffffffUL;
  if (magic == kOverlay) return FilesystemKind::overlay;
  return std::find(kNetwork.begin(), kNetwork.end(), magic) != kNetwork.end() ? FilesystemKind::network
                                                                              : FilesystemKind::local;
}

FilesystemKind kind_of(int fd) {
  struct statfs fs {};
  return ::fstatfs(fd, &fs) == 0 ? kind_of_magic(static_cast<unsigned long>(fs.f_type))
                                 : FilesystemKind::network;
}

FilesystemKind kind_of(const std::string& path) {
  struct statfs fs {};
  return ::statfs(path.c_str(), &fs) == 0 ? kind_of_magic(static_cast<unsigned long>(fs.f_type))
                                          : FilesystemKind::network;
}

}  // namespace claude_init::fs
