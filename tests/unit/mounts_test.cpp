#include "fs/mounts.h"

#include <catch2/catch.hpp>
#include <string>

using namespace claude_init;
using fs::Persistence;

namespace {

// As Docker shows it: overlay root, bind mount, named and anonymous volume, tmpfs over a volume.
const std::string kAnonymous(64, 'a');
const std::string kText =
    "600 500 0:50 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l,upperdir=/u\n"
    "601 600 0:53 / /proc rw,nosuid,nodev,noexec - proc proc rw\n"
    "610 600 8:1 /home/u/hub /claude-auth ro,relatime master:2 shared:3 - ext4 /dev/sda1 rw\n"
    "611 600 8:1 /var/lib/docker/volumes/named/_data /named rw - ext4 /dev/sda1 rw\n"
    "612 600 8:1 /var/lib/docker/volumes/" +
    kAnonymous +
    "/_data /anon rw - ext4 /dev/sda1 rw\n"
    "613 611 0:60 / /named rw,noexec - tmpfs tmpfs rw\n"
    "614 600 8:1 /x /with\\040blank\\011tab\\134 rw - ext4 /dev/sda1 ro\n"
    "615 600 8:1 /pods/1/volumes/kubernetes.io~empty-dir/auth /empty rw - ext4 /dev/sda1 rw\n"
    "not a line\n"
    "616 600 8:1 / relative rw - ext4 /dev/sda1 rw\n"
    "617 600 8:1 / /cut rw - ext4\n";

}  // namespace

TEST_CASE("mountinfo is read with its escapes, and lines that make no sense are passed over") {
  const auto mounts = fs::parse_mountinfo(kText);
  REQUIRE(mounts.size() == 8);
  CHECK(mounts[2].mount_point == "/claude-auth");
  CHECK(mounts[2].root == "/home/u/hub");
  CHECK(mounts[2].source == "/dev/sda1");
  CHECK(mounts[2].read_only);
  CHECK_FALSE(mounts[3].read_only);
  CHECK(mounts[6].mount_point == "/with blank\ttab\\");
  CHECK(mounts[6].read_only);  // by the superblock
  CHECK(mounts[5].noexec);
  CHECK(fs::parse_mountinfo("").empty());
  CHECK(fs::parse_mountinfo("1 2 0:1 / /x\\04 rw - a b c").front().mount_point == "/x\\04");
}

TEST_CASE("a path belongs to the longest mount point, the last of several on the same one") {
  const auto mounts = fs::parse_mountinfo(kText);
  CHECK(fs::mount_of(mounts, "/claude-auth/projects")->mount_point == "/claude-auth");
  CHECK(fs::mount_of(mounts, "/claude-authority")->mount_point == "/");
  CHECK(fs::mount_of(mounts, "/named/x")->fs_type == "tmpfs");
  CHECK(fs::mount_of({}, "/x") == nullptr);
  CHECK(fs::is_mount_point(mounts, "/claude-auth"));
  CHECK_FALSE(fs::is_mount_point(mounts, "/claude-auth/x"));
}

TEST_CASE("what survives the container is told from what does not") {
  const auto mounts = fs::parse_mountinfo(kText);
  CHECK(fs::persistence_of(mounts, "/claude-auth") == Persistence::mounted);
  CHECK(fs::persistence_of(mounts, "/anon/x") == Persistence::anonymous_volume);
  CHECK(fs::persistence_of(mounts, "/named") == Persistence::memory);
  CHECK(fs::persistence_of(mounts, "/empty") == Persistence::anonymous_volume);
  CHECK(fs::persistence_of(mounts, "/home/node") == Persistence::container_layer);
  const std::string hex63 = "1 0 8:1 / / rw - overlay o rw\n2 1 8:1 /volumes/" + kAnonymous.substr(1) +
                            "/_data /v rw - ext4 d rw\n";
  CHECK(fs::persistence_of(fs::parse_mountinfo(hex63), "/v") == Persistence::mounted);
}

TEST_CASE("the real mountinfo has a root") {
  const auto mounts = fs::read_mounts();
  REQUIRE(mounts.ok());
  CHECK(fs::mount_of(*mounts, "/") != nullptr);
}

TEST_CASE("a container's id is seen in what the engine mounts into it, and in nothing else") {
  const std::string id(64, 'b');
  const auto of = [](const std::string& root, const std::string& point) {
    return fs::container_id(
        fs::parse_mountinfo("620 600 8:1 " + root + " " + point + " rw - ext4 /dev/sda1 rw\n"));
  };
  CHECK(of("/var/lib/docker/containers/" + id + "/hostname", "/etc/hostname") == id);
  const std::string volume(64, 'c');
  CHECK(of("/volumes/" + volume + "/_data/containers/" + id + "/hostname", "/etc/hostname") == id);
  CHECK(of("/containers/storage/overlay-containers/" + id + "/userdata/hosts", "/etc/hosts") == id);
  CHECK(of("/var/lib/kubelet/pods/1234/etc-hosts", "/etc/hosts").empty());
  CHECK(of("/var/lib/docker/volumes/" + id + "/_data", "/claude-auth").empty());
  CHECK(fs::container_id(fs::parse_mountinfo(kText)).empty());
}
