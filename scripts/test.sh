#!/usr/bin/env bash
# Build and run the tests.
#
# usage: scripts/test.sh [--full | --long] [NAME]...
#        scripts/test.sh --list | --clean
#
# Installs what is missing on a bare Debian 12 or 13, builds, and runs what one needs to know after a change: all unit tests,
# integration as PID 1 and on a terminal, samples of the fault tests, the model, and one story with a real container
# engine, both images and the real CLI. Its last lines name what it left out and how long everything took.
#
#   --full      everything: each system call killed and failed, fuzzers, sanitizers, all end-to-end tests, Kubernetes
#   --long      what takes still longer, too
#   NAME        only the tests whose names contain it, such as `unit.lock`, `integration` or `e2e.compose`
#   --list      print names, lanes and times, and run nothing
#   --clean     stop and remove what earlier runs have kept: engine, cluster, caches, builds
#   --help
#
# Variables:
#   CLAUDE_INIT_TEST_NO_SKIP=1  a test that skips itself fails
#   CLAUDE_INIT_E2E_CACHE       a directory that keeps the engine, base images and Kubernetes between runs
#   CLAUDE_INIT_FUZZ_SECONDS    how long each fuzzer runs
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/common.sh"

# Python and its modules are Debian's: /usr/bin/python3, whatever else the machine has.
test_packages=(catch2 python3 python3-pytest python3-pexpect python3-yaml strace jq procps shellcheck spin tini e2fsprogs
  curl util-linux man-db zsh fish openssl nginx libnginx-mod-http-js)
e2e_packages=(ca-certificates iproute2 iptables mmdebstrap openssl runc)
full_packages=(clang clang-tidy buildah podman uidmap xfsprogs btrfs-progs prometheus lintian dpkg-dev systemd mmdebstrap)

lane=quick list=0 clean=0 names=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --full) lane=full ;;
    --long) lane=long ;;
    --list) list=1 ;;
    --clean) clean=1 ;;
    --help | -h) print_help; exit 0 ;;
    -*) refuse_usage "There is no $1." ;;
    *) names+=("$1") ;;
  esac
  shift
done

cd "$top"
tests=build/dev

# needs LABEL...: whether one of these kinds of tests is to be run.
needs() {
  local name label
  [[ ${#names[@]} -gt 0 ]] || return 0
  for label in "$@"; do
    for name in "${names[@]}"; do
      [[ $name != "$label"* && $label != "$name"* ]] || return 0
    done
  done
  return 1
}

# Everything that a run starts lives in PID and mount namespaces of its own, so nothing survives a run that is killed.
contain() {
  [[ $(id -u) == 0 && -z ${CLAUDE_INIT_TEST_CONTAINED:-} ]] || return 0
  unshare --pid --mount --fork true 2>/dev/null || return 0
  CLAUDE_INIT_TEST_CONTAINED=1 exec unshare --pid --mount --fork --kill-child --mount-proc \
    tini -g -- "$top/scripts/test.sh" "$@"
}

install_what_is_needed() {
  local packages=("${test_packages[@]}")
  if needs e2e kubernetes; then packages+=("${e2e_packages[@]}"); fi
  if [[ $lane != quick || ${#names[@]} -gt 0 ]] && needs e2e kubernetes fuzz sanitizers fault.filesystems tidy integration release; then
    packages+=("${full_packages[@]}")
  fi
  install_build_packages "to build and test claude-init" "${packages[@]}"
  if needs e2e kubernetes; then install_npm; fi
  if [[ $lane != quick ]] && needs kubernetes; then tests/kubernetes/engine/project-cluster.sh packages; fi
}

clean_up() {
  local script
  for script in tests/kubernetes/engine/cluster.sh tests/e2e/engine/engine.sh; do
    case $script in
      *cluster.sh) [[ ! -d $tests/cluster/run ]] || "$script" stop "$tests/cluster" ;;
      *) [[ ! -d $tests/engine ]] || "$script" stop "$tests/engine" ;;
    esac
  done
  rm -rf build
}

if [[ $clean == 1 ]]; then clean_up; exit 0; fi
install_what_is_needed
if [[ $list == 0 ]]; then contain ${lane:+$([[ $lane == quick ]] || echo "--$lane")} "${names[@]}"; fi

cmake --preset dev >/dev/null
exec /usr/bin/python3 -B tests/runner.py "$tests" "$lane" "$list" "${names[@]}"
