#!/usr/bin/env bash
# prepare.sh DIR CACHE: what an end-to-end test needs and what needs nothing of ours, while that is compiled: the engine,
# the base images, and the layers of our images below the binary. Whoever uses them finds them, or makes them.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/engine.sh" start "$1" "$2"
eval "$("$here/engine.sh" env "$1")"
"$here/base-images.sh" "$2"

# In the place of the binary: the layers above it are thrown away.
empty=$(mktemp -d)
trap 'rm -rf "$empty"' EXIT
printf '#!/bin/sh\n' > "$empty/claude-init"
cd "$here/../../.."
for file in Dockerfile.claude-setup Dockerfile.runtime; do
  docker build --quiet --build-context "binary=$empty" -f "$file" .
done
