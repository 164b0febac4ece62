#!/usr/bin/env bash
# Make the packages of a release, in dist/: claude-init_VERSION_ARCH.deb, claude-init-VERSION-linux-ARCH.tar.gz, their SBOM
# (SPDX), the changelog's section, and SHA256SUMS of them all.
#
# usage: scripts/release.sh VERSION [ARCH]...
#
# ARCH is amd64 or arm64; without one, that of this machine. arm64 is compiled on amd64 as well, with Debian's cross compiler
# and libraries: for those, `dpkg --add-architecture arm64` first.
#
# 1. VERSION is that of the file VERSION, CHANGELOG.md has a section for it with a date, and everything is committed.
# 2. The binary is built anew in build/dist-ARCH; its times are the commit's, and it knows no path of this machine, so that the
#    same commit gives the same bytes on the same Debian release.
# 3. Nothing is published: look at dist/, tag the commit, and upload.
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/common.sh"

case ${1:-} in
  --help | -h) print_help; exit 0 ;;
  '' | -*) refuse_usage "Which version?" ;;
esac
version=$1 machine=$(dpkg --print-architecture)
shift
[[ $# -gt 0 ]] || set -- "$machine"
for arch in "$@"; do
  case $arch in
    "$machine" | arm64) ;;
    *) refuse_usage "There is no way from $machine to $arch." ;;
  esac
done
cd "$top"

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
commit=$(git rev-parse --short=12 HEAD)

# What the build needs for ARCH, beside what it needs for this machine.
cross_packages() {
  local package
  echo g++-aarch64-linux-gnu
  for package in $(scripts/lib/build-packages); do
    case $package in libboost* | libfmt* | libsodium*) echo "$package:$1" ;; esac
  done
}

# for_any_linux SHARE: without what only Debian reads, and with what it has elsewhere. The archive is unpacked over /usr or
# /usr/local, so its top level has nothing but what belongs there.
for_any_linux() {
  rm -r "$1/lintian" "$1/doc/claude-init/changelog.gz"
  mv "$1/zsh/vendor-completions" "$1/zsh/site-functions"
  install -m 644 LICENSE packaging/INSTALL "$1/doc/claude-init/"
}

# release_for ARCH
release_for() {
  local build=build/dist-$1 name=claude-init-$version-linux-$1 packages=(dpkg-dev python3) toolchain=()
  if [[ $1 != "$machine" ]]; then
    dpkg --print-foreign-architectures | grep -qx "$1" ||
      die "$exit_unavailable" "dpkg knows no packages of $1." "As root: dpkg --add-architecture $1 && apt-get update"
    mapfile -t -O 2 packages < <(cross_packages "$1")
    toolchain=(--toolchain "$top/cmake/aarch64.cmake")
  fi
  install_build_packages "to build claude-init" "${packages[@]}"
  step "Building $version ($commit) for $1"
  rm -rf "$build"
  quietly cmake --preset release -B "$build" -DCMAKE_INSTALL_PREFIX=/usr -DCLAUDE_INIT_COMMIT="$commit" "${toolchain[@]}"
  quietly cmake --build "$build" --target claude-init packed
  quietly cpack --config "$build/CPackConfig.cmake" -B "$build/packages"
  cp "$build/packages/"*.deb dist/
  DESTDIR=$build/root quietly cmake --install "$build"
  mkdir "$build/$name"
  cp -a "$build/root/usr/." "$build/$name/"
  for_any_linux "$build/$name/share"
  tar --create --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go-w,a+rX \
    --directory="$build" "$name" | gzip -9n > "dist/$name.tar.gz"
  packaging/sbom.py "$build" "$version" > "dist/$name.spdx.json"
}

rm -rf dist
mkdir -p dist
for arch in "$@"; do release_for "$arch"; done
section > "dist/CHANGELOG-$version.md"
(cd dist && sha256sum -- * > SHA256SUMS)

good "dist/ has the release $version:"
more "$(cd dist && ls -l)"
more "To publish it: git tag -s v$version, and upload what is in dist/."
