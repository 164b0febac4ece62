#!/usr/bin/env bash
# clang-tidy over the sources of src/ that differ from CLAUDE_INIT_TIDY_BASE, else from the commit before, and over what
# is not committed: at most 24 of them, the most recently changed. The whole: `cmake --build --preset tidy`.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v clang-tidy >/dev/null; then
  echo "There is no clang-tidy." >&2
  [[ ${CLAUDE_INIT_TEST_NO_SKIP:-} == 1 ]] && exit 1
  exit 77
fi
base=${CLAUDE_INIT_TIDY_BASE:-HEAD~1}
git rev-parse --verify --quiet "$base" >/dev/null || base=HEAD
mapfile -t changed < <(git diff --name-only --diff-filter=d "$base" -- 'src/*.cpp' | xargs -r ls -t | head -n 24)
[[ ${#changed[@]} -gt 0 ]] || { echo "No source has changed since $base."; exit 0; }
cmake --preset tidy >/dev/null
printf '%s\n' "${changed[@]}"
printf '%s\0' "${changed[@]}" | xargs -0 -n 1 -P 2 clang-tidy --quiet -p build/tidy
