#!/usr/bin/env bash
# Measure claude-init beside its peers, on this machine.
#
# usage: scripts/bench.sh init|run|follow|capture|gateway [--quick] [--check]
#        scripts/bench.sh coherence|keeper [--expiries N]
#
#   init       start-up, signal latency, reaping, memory and idle cost as PID 1, beside tini, tini-static, dumb-init
#              and catatonit, in interleaved rounds: a Markdown table (root needed)
#   run        what a working copy costs on a store of 10 000 files, beside `init` and `cp -a`
#   follow     how soon a login in the store is in one run's copy and in a hundred, and how long a stop takes that has
#              64 MiB to save
#   capture    capturing 10 000 files and 270 MB, first and again, beside cp and rsync, and how long a login takes to be
#              durable: Markdown tables. The disk is that of CLAUDE_INIT_BENCH_DIR, else of build/bench
#   gateway    what asking through deploy/gateway costs beside asking directly: time to the first byte, streams, memory: a
#              Markdown table (root needed)
#   coherence  5, 10 and 20 containers with the real CLI on one login over 20 expiries of 40 s, killed at random, beside
#              `cp -r` copies and one shared directory: a Markdown table (root needed; three quarters of an hour)
#   keeper     compose.yaml with the real CLI over 60 expiries of 40 s: a keeper that is killed at random, three services, an
#              outage of half a lifetime every sixth: a Markdown table (root needed; three quarters of an hour). The engine
#              is kept in CLAUDE_INIT_BENCH_DIR, else in build/bench
#   --quick    fewer rounds
#   --check    fail unless the limits of docs/supervision.md, docs/working-copies.md, docs/durability.md and docs/gateway.md are
#              kept
#   --help
#
# Figures of different runs do not compare: the machine's speed changes under them.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/common.sh"

bench_init() {
  local probe=$top/build/bench/probe
  [[ $(id -u) == 0 ]] || die "$exit_unavailable" "This makes PID namespaces and needs root."
  install_build_packages "to build claude-init"
  install_packages "to compare with" tini dumb-init catatonit python3
  quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  mkdir -p "$(dirname "$probe")"
  g++ -std=c++20 -O2 -static -o "$probe" "$top/tests/bench/probe.cpp"
  /usr/bin/python3 "$top/tests/bench/init.py" "$probe" "$@" \
    tini="/usr/bin/tini --" tini-static="/usr/bin/tini-static --" dumb-init=/usr/bin/dumb-init \
    catatonit="/usr/bin/catatonit --" claude-init="$top/build/release/claude-init init --"
}

bench_run() {
  install_build_packages "to build claude-init"
  install_packages "to measure" python3
  quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  /usr/bin/python3 "$top/tests/bench/run.py" "$top/build/release/claude-init" "$@"
}

bench_follow() {
  install_build_packages "to build claude-init"
  install_packages "to measure" python3
  quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  /usr/bin/python3 "$top/tests/bench/follow.py" "$top/build/release/claude-init" "$@"
}

bench_capture() {
  local directory=${CLAUDE_INIT_BENCH_DIR:-$top/build/bench}
  install_build_packages "to build claude-init"
  install_packages "to compare with" rsync python3
  quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  mkdir -p "$directory"
  /usr/bin/python3 "$top/tests/bench/capture.py" "$top/build/release/claude-init" "$directory" "$@"
}

bench_gateway() {
  [[ $(id -u) == 0 ]] || die "$exit_unavailable" "This makes namespaces and needs root."
  install_packages "to measure" nginx libnginx-mod-http-js openssl python3
  /usr/bin/python3 -B "$top/tests/bench/gateway.py" "$@"
}

bench_coherence() {
  local cli=$top/build/bench/cli
  [[ $(id -u) == 0 ]] || die "$exit_unavailable" "This makes namespaces and needs root."
  install_build_packages "to build claude-init"
  install_packages "to measure" iproute2 openssl python3 python3-pexpect python3-pytest util-linux
  quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  install_cli "$cli"
  /usr/bin/python3 -B "$top/tests/bench/coherence.py" "$top/build/release/claude-init" "$(realpath "$cli/bin/claude")" "$@"
}

bench_keeper() {
  local directory=${CLAUDE_INIT_BENCH_DIR:-$top/build/bench}/engine engine=$top/tests/e2e/engine
  [[ $(id -u) == 0 ]] || die "$exit_unavailable" "This starts a container engine and needs root."
  install_build_packages "to build claude-init"
  install_packages "to measure" ca-certificates curl mmdebstrap openssl python3 python3-pexpect python3-pytest
  install_npm
  quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  quietly "$engine/engine.sh" start "$directory" "${CLAUDE_INIT_E2E_CACHE:-$directory/cache}" ||
    die "$exit_unavailable" "The engine could not be started; the reason is above."
  # shellcheck disable=SC2064 # as they are now
  trap "'$engine/engine.sh' stop '$directory'" EXIT
  CLAUDE_INIT_E2E_BINARY=$top/build/release/claude-init quietly "$engine/project-images.sh" "$directory" \
    "${CLAUDE_INIT_E2E_CACHE:-$directory/cache}" ||
    die "$exit_unavailable" "The images could not be built; the reason is above."
  /usr/bin/python3 -B "$top/tests/bench/keeper.py" "$directory" "$@"
}

case ${1:-} in
  init) shift; bench_init "$@" ;;
  run) shift; bench_run "$@" ;;
  follow) shift; bench_follow "$@" ;;
  capture) shift; bench_capture "$@" ;;
  coherence) shift; bench_coherence "$@" ;;
  gateway) shift; bench_gateway "$@" ;;
  keeper) shift; bench_keeper "$@" ;;
  --help | -h) print_help ;;
  '') refuse_usage "What is to be measured? There are: init, run, follow, capture, gateway, coherence, keeper." ;;
  *) refuse_usage "There is no benchmark '$1'; there are: init, run, follow, capture, gateway, coherence, keeper." ;;
esac
