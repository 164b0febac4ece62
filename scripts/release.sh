#!/usr/bin/env bash
# Make the packages of a release, in dist/: claude-init_VERSION_ARCH.deb, claude-init-VERSION-linux-ARCH.tar.gz, their SBOM
# (SPDX), the changelog's section, and SHA256SUMS of them all.
#
# usage: scripts/release.sh VERSION
#
# 1. VERSION is that of the file VERSION, CHANGELOG.md has a section for it with a date, and everything is committed.
# 2. The binary is built anew in build/dist; its times are the commit's, and it knows no path of this machine, so that the
#    same commit gives the same bytes on the same Debian release.
# 3. Nothing is published: look at dist/, tag the commit, and upload.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/common.sh"

case ${1:-} in
  --help | -h) print_help; exit 0 ;;
  '' | -*) refuse_usage "Which version?" ;;
esac
[[ $# == 1 ]] || refuse_usage "One version at a time."
version=$1
cd "$top"
build=build/dist

# The section of CHANGELOG.md, without its heading.
section() { awk -v heading="## [$version] - " 'index($0, "## ") == 1 { on = index($0, heading) == 1; next } on' CHANGELOG.md; }

# 1.
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "$exit_usage" "$version is not a version." "Write one like 1.2.3."
[[ $version == "$(cat VERSION)" ]] || die "$exit_usage" "This is version $(cat VERSION), not $version." \
  "Write $version into the file VERSION, and commit it."
grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
  die "$exit_usage" "CHANGELOG.md has no section for $version." "Give it the heading: ## [$version] - $(date -u +%F)"
[[ -n $(section | tr -d '[:space:]') ]] || die "$exit_usage" "CHANGELOG.md says nothing of $version." "Describe the release there."
dirty=$(git status --porcelain --untracked-files=all)
[[ -z $dirty ]] || die "$exit_usage" "Not everything is committed:" "$dirty" "Commit it, or put it away."

# 2.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
install_build_packages "to build claude-init" dpkg-dev python3
step "Building $version of $(git rev-parse --short=12 HEAD)"
rm -rf "$build" dist
mkdir -p dist
quietly cmake --preset release -B "$build" -DCMAKE_INSTALL_PREFIX=/usr -DCLAUDE_INIT_COMMIT="$(git rev-parse --short=12 HEAD)"
quietly cmake --build "$build" --target claude-init packed

step "Packing"
name=claude-init-$version-linux-$(dpkg --print-architecture)
quietly cpack --config "$build/CPackConfig.cmake" -B "$build/packages"
cp "$build/packages/"*.deb dist/
DESTDIR=$build/root quietly cmake --install "$build"
mkdir "$build/$name"
cp -a "$build/root/usr/." LICENSE "$build/$name/"
tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go-w,a+rX \
  --directory="$build" "$name" | gzip -9n > "dist/$name.tar.gz"
section > "dist/CHANGELOG-$version.md"
packaging/sbom.py "$build" "$version" > "dist/$name.spdx.json"
(cd dist && sha256sum -- * > SHA256SUMS)

good "dist/ has the release $version:"
more "$(cd dist && ls -l)"
more "To publish it: git tag -s v$version, and upload what is in dist/."
