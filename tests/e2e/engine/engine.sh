#!/usr/bin/env bash
# engine.sh start DIR [CACHE] | env DIR | stop DIR
#
# Docker Engine with Compose and BuildKit from the packages of the Debian release after this one, unpacked
# privately under DIR. The socket is DIR/docker.sock. See README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
release=trixie
packages=(docker.io docker-cli containerd docker-compose docker-buildx)

die() { echo "engine.sh: $*" >&2; exit 1; }

# The archive that this machine uses itself.
debian_archive() {
  local url
  url=$(sed -nE 's/^URIs: *(.*\/debian)\/?$/\1/p' /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
  [[ -n $url ]] || url=$(sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+\/debian)\/? .*/\2/p' /etc/apt/sources.list | head -n 1)
  [[ -n $url ]] || die "no Debian archive in the apt configuration"
  echo "$url"
}

# apt with a configuration and a package database of its own, so that the machine's stay as they are.
download_packages() {
  local apt=$cache/apt
  mkdir -p "$apt"/{state/lists/partial,cache/archives/partial} "$debs"
  : > "$apt/status"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_archive) $release main" \
    > "$apt/sources.list"
  cat > "$apt/apt.conf" <<END
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/nonexistent";
Dir::State "$apt/state"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
END
  export APT_CONFIG=$apt/apt.conf
  apt-get update -qq
  (cd "$debs" && apt-get download -qq "${packages[@]}")
  touch "$debs/complete"
}

fetch() {
  local package
  [[ ! -x $engine/root/usr/sbin/dockerd ]] || return 0
  apt-get install -y -qq --no-install-recommends runc iptables tini >/dev/null
  [[ -e $debs/complete ]] || (download_packages)
  mkdir -p "$engine"/{root,config/cli-plugins}
  for package in "$debs"/*.deb; do dpkg-deb -x "$package" "$engine/root"; done
  # Debian links docker-init to a file of another package.
  rm -f "$engine/root/usr/bin/docker-init"
  cp /usr/bin/tini-static "$engine/root/usr/bin/docker-init"
  cp "$engine"/root/usr/libexec/docker/cli-plugins/* "$engine/config/cli-plugins/"
  echo '{}' > "$engine/config/config.json"
}

answers() { DOCKER_HOST=unix://$engine/docker.sock docker version >/dev/null 2>&1; }

start() {
  if [[ $(id -u) != 0 ]]; then
    echo "engine.sh: an engine needs root" >&2
    # 77 is a skipped test for ctest.
    if [[ ${CLAUDE_INIT_TEST_NO_SKIP:-0} == 1 ]]; then exit 1; else exit 77; fi
  fi
  fetch
  export PATH=$engine/root/usr/sbin:$engine/root/usr/bin:$PATH
  ! answers || return 0
  # An engine that was killed with its namespace leaves the number of its containerd, which is another process here.
  rm -f "$engine/dockerd.pid" "$engine/exec/containerd/containerd.pid"
  give_share
  setsid "$here/../../with-nice.sh" --here -10 dockerd "${parent[@]}" --data-root="$engine/data" \
    --exec-root="$engine/exec" --pidfile="$engine/dockerd.pid" --host="unix://$engine/docker.sock" \
    >"$engine/dockerd.log" 2>&1 </dev/null 9>&- &
  for _ in $(seq 300); do
    ! answers || return 0
    sleep 0.1
  done
  tail -n 20 "$engine/dockerd.log" >&2
  die "dockerd does not answer"
}

# All of the containers are one group for the kernel, and each session beside it (autogroup) is another, that gets as much
# of a busy processor: the containers together get as much as eight sessions. Building images is in a group that does not
# obey --cgroup-parent; another engine's is left alone. Only where cpu groups are of version 1.
give_share() {
  local each
  parent=()
  [[ -d /sys/fs/cgroup/cpu ]] || return 0
  parent=(--cgroup-parent="/$group")
  for each in "$group" docker/buildkit; do
    [[ ! -e /sys/fs/cgroup/cpu/${each%/*} ]] || continue
    mkdir -p "/sys/fs/cgroup/cpu/$each" 2>/dev/null || return 0
    echo 8192 > "/sys/fs/cgroup/cpu/${each%/*}/cpu.shares"
    echo "${each%/*}" >> "$engine/groups"
  done
}

environment() {
  echo "export DOCKER_HOST=unix://$engine/docker.sock DOCKER_CONFIG=$engine/config PATH=$engine/root/usr/bin:\$PATH"
}

drop_groups() {
  local each
  [[ -e $engine/groups ]] || return 0
  while read -r each; do
    find /sys/fs/cgroup/*/"$each" -depth -type d -exec rmdir {} + 2>/dev/null || :
  done < "$engine/groups"
  rm "$engine/groups"
}

stop() {
  local pid
  pid=$(cat "$engine/dockerd.pid" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || return 0
  # Not our child: its pidfile goes when it has stopped the containers.
  for _ in $(seq 150); do
    if [[ ! -e $engine/dockerd.pid ]]; then
      # It leaves this mount, and a directory with a mount in it cannot be removed.
      umount "$engine/exec/netns/default" 2>/dev/null || :
      drop_groups
      return 0
    fi
    sleep 0.2
  done
  die "dockerd (pid $pid) does not stop"
}

[[ $# -ge 2 ]] || die "usage: engine.sh start DIR [CACHE] | env DIR | stop DIR"
engine=$(realpath -m "$2")
mkdir -p "$engine"
cache=$(realpath -m "${3:-$engine/cache}")
debs=$cache/debs
group=claude-init-e2e
[[ ${#engine} -le 80 ]] || die "$engine is too long: the paths of the sockets in it must fit 108 bytes"
case $1 in
  start)
    # One at a time: a run prepares the engine while it compiles.
    exec 9> "$engine/start.lock"
    flock 9
    start 9>&- ;;
  env) environment ;;
  stop) stop ;;
  *) die "unknown command: $1" ;;
esac
