#include "fs/filesystem_kind.h"

#include <catch2/catch.hpp>

#include "temp_dir.h"

using namespace claude_init;
using fs::FilesystemKind;

TEST_CASE("file systems that other machines change are told from those that only we do") {
  CHECK(fs::kind_of_magic(0x6969) == FilesystemKind::network);      // NFS
  CHECK(fs::kind_of_magic(0x65735546) == FilesystemKind::network);  // FUSE
  CHECK(fs::kind_of_magic(0xff534d42) == FilesystemKind::network);  // CIFS
  CHECK(fs::kind_of_magic(0xffffffffff534d42) == FilesystemKind::network);
  CHECK(fs::kind_of_magic(0x794c7630) == FilesystemKind::overlay);
  CHECK(fs::kind_of_magic(0xef53) == FilesystemKind::local);      // ext4
  CHECK(fs::kind_of_magic(0x01021994) == FilesystemKind::local);  // tmpfs
}

TEST_CASE("what cannot be asked counts as one that others change") {
  CHECK(fs::kind_of(-1) == FilesystemKind::network);
  CHECK(fs::kind_of("/no/such/place") == FilesystemKind::network);
  const test::TempDir dir;
  CHECK(fs::kind_of(dir.fd()) == fs::kind_of(dir.path()));
}
