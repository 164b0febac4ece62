#!/usr/bin/env bash
# project-cluster.sh packages | build CACHE | start DIR CACHE ENGINE | stop DIR
#
# For ctest: what is skipped where it cannot be, says so and ends with 77, or with 1 where nothing may be skipped.
#   start   a cluster with our images and one that has the CLI and nothing of ours, out of the engine in ENGINE
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

skip() {
  echo "project-cluster.sh: skipped: $*" >&2
  if [[ ${CLAUDE_INIT_TEST_NO_SKIP:-0} == 1 ]]; then exit 1; else exit 77; fi
}

# Why there can be no cluster here; nothing if there can.
obstacle() {
  local codename
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release 2>/dev/null)
  if [[ $(id -u) != 0 ]]; then echo "a cluster needs root"
  elif [[ $codename != bookworm || $(uname -m) != x86_64 ]]; then echo "it is built from Debian 12's source, on amd64"
  elif [[ $(awk '/^MemTotal/ { print int($2 / 1048576) }' /proc/meminfo) -lt 3 ]]; then echo "it needs 4 GB of memory"
  elif ! unshare --net ip link add k8sbr0 type bridge 2>/dev/null; then echo "no bridge can be made here"
  fi
}

# The images, once for each that the engine has.
images() {
  local archive=$1/images.tar want
  want=$(docker image inspect --format '{{.Id}}' claude-setup:latest claude-runtime:latest) || return 1
  [[ $(cat "$archive.of" 2>/dev/null) != "$want" ]] || return 0
  docker build --quiet --tag somebody-elses:latest - >&2 <<'END'
FROM claude-runtime:latest
RUN rm /usr/local/bin/claude-init /usr/local/bin/claude-kubernetes-secret
ENTRYPOINT []
CMD ["bash"]
END
  docker save --output "$archive" claude-setup:latest claude-runtime:latest somebody-elses:latest
  echo "$want" > "$archive.of"
}

reason=$(obstacle)
case $1 in
  packages)
    [[ -z $reason ]] || skip "$reason"
    exec "$here/build.sh" packages ;;
  build)
    [[ -z $reason ]] || skip "$reason"
    exec "$here/build.sh" "$2" ;;
  start)
    [[ -z $reason ]] || skip "$reason"
    mkdir -p "$2"
    (eval "$("$here/../../e2e/engine/engine.sh" env "$4")"; images "$2")
    exec "$here/cluster.sh" start "$2" "$3" "$2/images.tar" ;;
  stop)
    [[ -z $reason ]] || exit 0
    exec "$here/cluster.sh" stop "$2" ;;
  *) echo "usage: project-cluster.sh packages | build CACHE | start DIR CACHE ENGINE | stop DIR" >&2; exit 2 ;;
esac
