#!/usr/bin/env bash
# image.sh OUT.tar NAME:TAG CONFIG FILE: an image archive with that one file in it, /basename, without any engine.
set -euo pipefail

out=$(realpath -m "$1") name=$2 config=$3 file=$(realpath "$4")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -C "$(dirname "$file")" --owner=0 --group=0 -cf "$work/layer.tar" "$(basename "$file")"
layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
cat > "$work/config.json" <<END
{"architecture":"amd64","os":"linux","config":$config,"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},
 "history":[{"created_by":"image.sh"}]}
END
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" > "$work/manifest.json"
tar -C "$work" -cf "$out.new" manifest.json config.json layer.tar
mv "$out.new" "$out"
