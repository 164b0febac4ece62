#!/bin/sh
# run.sh build | run.sh threads | run.sh REGEX: builds the preset asan-ubsan; builds the preset tsan and runs its tests; or
# runs those of asan-ubsan that have these names.
set -eu
cd "$(dirname "$0")/../.."
if [ "$1" = build ]; then
  cmake --preset asan-ubsan
  exec cmake --build --preset asan-ubsan --target claude-init unit_tests fake_clock_tests simulated_days_test store_driver attacker killer
fi
if [ "$1" = threads ]; then
  cmake --preset tsan
  cmake --build --preset tsan
  # clang's ThreadSanitizer has fixed places in memory, which addresses at random may take.
  exec setarch "$(uname -m)" --addr-no-randomize build/tsan/tests/unit/thread_tests
fi
# What they leak at exit is the system's; what they do wrong ends them.
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}" UBSAN_OPTIONS=print_stacktrace=1
exec ctest --preset asan-ubsan --no-tests=error --parallel 6 -R "$1"
