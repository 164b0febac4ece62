#!/usr/bin/env bash
# clang-tidy over sources of src/: what differs from CLAUDE_INIT_TIDY_BASE, else from the commit before, and what is not
# committed; and four others, another four for each commit, so that a checkout without a history (a shallow clone, an
# archive) is looked at too. At most 24. The whole: `cmake --build --preset tidy`.
#
# 1. A changed header stands for the source of its name, else for the first source that includes it.
# 2. A source that clang-tidy is to complain about shows that it would.
set -euo pipefail
cd "$(dirname "$0")/../.."
others=4 most=24

if ! command -v clang-tidy >/dev/null; then
  echo "There is no clang-tidy." >&2
  [[ ${CLAUDE_INIT_TEST_NO_SKIP:-} == 1 ]] && exit 1
  exit 77
fi

changed() {
  local base=${CLAUDE_INIT_TIDY_BASE:-HEAD~1}
  git rev-parse --verify --quiet "$base^{commit}" >/dev/null || base=HEAD
  git -c core.quotePath=off diff --name-only --diff-filter=d "$base" -- src
  git -c core.quotePath=off ls-files --others --exclude-standard -- src
}

source_of() {
  case $1 in
    *.cpp) echo "$1" ;;
    *.h) if [[ -e ${1%.h}.cpp ]]; then echo "${1%.h}.cpp"; else grep -rlF --include='*.cpp' "\"${1#src/}\"" src | sort | head -n 1; fi ;;
  esac
}

# Each in its turn: the order depends on the commit.
in_turn() {
  local commit=$1 file
  find src -name '*.cpp' | while read -r file; do
    printf '%s %s\n' "$(printf '%s %s' "$commit" "$file" | sha256sum | cut -c1-16)" "$file"
  done | sort | cut -d' ' -f2
}

in_git=0
[[ $(git rev-parse --show-toplevel 2>/dev/null) != "$PWD" ]] || in_git=1
commit=none files=
if [[ $in_git == 1 ]]; then
  commit=$(git rev-parse --verify --quiet HEAD || echo none)
  files=$(changed)
fi
mapfile -t sources < <(while read -r file; do source_of "$file"; done <<< "$files" | sort -u | head -n $((most - others)))
mapfile -t sources < <({ printf '%s\n' "${sources[@]}"; in_turn "$commit" | head -n "$others"; } | sed '/^$/d' | awk '!seen[$0]++')
[[ ${#sources[@]} -ge $others ]] || { echo "There are no sources." >&2; exit 1; }

cmake --preset tidy >/dev/null
proof=$(mktemp -d)
trap 'rm -rf "$proof"' EXIT
printf 'int* wrong() {\n  int* p = 0;\n  return p;\n}\n' > "$proof/wrong.cpp"
! clang-tidy --quiet --config-file=.clang-tidy "$proof/wrong.cpp" -- >/dev/null 2>&1 ||
  { echo "clang-tidy accepts what .clang-tidy forbids." >&2; exit 1; }

printf '%s\n' "${sources[@]}"
printf '%s\0' "${sources[@]}" | xargs -0 -n 1 -P 2 clang-tidy --quiet -p build/tidy
