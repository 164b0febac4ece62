#!/bin/sh
# One fuzzer for CLAUDE_INIT_FUZZ_SECONDS, else SECONDS (60), from its seeds; or, as `run.sh build`, the building of them all.
#
# usage: run.sh build | run.sh FUZZER [SECONDS]
#
# The same inputs in the same order each time, so that a find is one of the change that it comes with; the long lane looks
# elsewhere each time. Exits with 77, a skip, where there is no clang.
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
cd "$top"

if ! command -v clang++ >/dev/null; then
  echo "There is no clang++." >&2
  [ "${CLAUDE_INIT_TEST_NO_SKIP:-}" = 1 ] && exit 1
  exit 77
fi
if [ "$1" = build ]; then
  cmake --preset asan-ubsan
  exec cmake --build --preset asan-ubsan --target fuzzers
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/corpus"
status=0
seed=1
if [ "${CLAUDE_INIT_TEST_LANE:-}" = long ]; then seed=0; fi    # 0: a random one, which is printed
# What it finds is printed in base64 too, and is no skip: libFuzzer's own status for it would be 77. A minute or two for
# one input: it hangs, however busy the machine is (linear.h measures in processor time).
"build/asan-ubsan/tests/fuzz/$1" -seed="$seed" -max_total_time="${CLAUDE_INIT_FUZZ_SECONDS:-${2:-60}}" \
  -timeout=120 -rss_limit_mb=1024 -max_len=4096 -error_exitcode=1 -print_final_stats=1 -artifact_prefix="$work/" \
  "$work/corpus" "tests/fuzz/seeds/$1" >"$work/output" 2>&1 || status=$?
tail -n 40 "$work/output"
exit "$status"
