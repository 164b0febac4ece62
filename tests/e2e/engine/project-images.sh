#!/usr/bin/env bash
# project-images.sh DIR CACHE: builds both of our images with the engine in DIR, by the documented commands.
# CLAUDE_INIT_E2E_BINARY=FILE: with that binary instead of compiling it. Else the binary that they have compiled is
# the one for this machine too, as build/release/claude-init, where the scripts look for it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
eval "$("$here/engine.sh" env "$1")"
"$here/base-images.sh" "$2"
cd "$here/../../.."

# In the short lane the binary is the one that is under test everywhere else, without its debug information.
if [[ ${CLAUDE_INIT_TEST_LANE:-full} == quick && -z ${CLAUDE_INIT_E2E_BINARY:-} ]]; then
  mkdir -p build/dev/image
  strip -o build/dev/image/claude-init build/dev/claude-init
  CLAUDE_INIT_E2E_BINARY=build/dev/image/claude-init
fi
binary=()
if [[ -n ${CLAUDE_INIT_E2E_BINARY:-} ]]; then
  binary=(--build-context "binary=$(dirname "$CLAUDE_INIT_E2E_BINARY")")
fi
docker build --progress=plain "${binary[@]}" -f Dockerfile.claude-setup -t claude-setup:latest .
docker build --progress=plain "${binary[@]}" -f Dockerfile.runtime -t claude-runtime:latest .
if [[ -z ${CLAUDE_INIT_E2E_BINARY:-} ]]; then
  container=$(docker create claude-runtime:latest)
  mkdir -p build/release
  docker cp "$container:/usr/local/bin/claude-init" build/release/claude-init
  docker rm "$container"
  touch build/release/claude-init
fi
