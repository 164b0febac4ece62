#!/bin/sh
# run.sh build | run.sh REGEX: builds the preset asan-ubsan, or runs its tests of these names.
set -eu
cd "$(dirname "$0")/../.."
if [ "$1" = build ]; then
  cmake --preset asan-ubsan
  exec cmake --build --preset asan-ubsan --target claude-init unit_tests fake_clock_tests simulated_days_test store_driver attacker killer
fi
# What they leak at exit is the system's; what they do wrong ends them.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}" UBSAN_OPTIONS=print_stacktrace=1
exec ctest --preset asan-ubsan --no-tests=error --parallel 6 -R "$1"
