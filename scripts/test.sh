#!/usr/bin/env bash
# Build and run the tests.
#
# usage: scripts/test.sh [--quick] [CTEST-ARGUMENT]...
#
# Installs what is missing on a bare Debian 12 or 13, builds the preset `dev`, and runs ctest, whose summary and exit status
# are the last word. The labels are unit, integration, fault, fuzz, model, e2e and kubernetes. The preset `release` is
# compiled once, in the images.
#
#   --quick     leave out e2e and kubernetes: no container engine, no CLI; fuzz for seconds
#   --help
#
# Other arguments go to ctest, such as `-R login` or `-L unit`.
#
# Variables:
#   CLAUDE_INIT_TEST_NO_SKIP=1  a test that skips itself fails
#   CLAUDE_INIT_TEST_LONG=1     what takes much longer too: docs/development.md
#   CLAUDE_INIT_E2E_CACHE       a directory where the engine, the base images and Kubernetes are kept between runs
set -euo pipefail
# shellcheck source=lib/common.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib/common.sh"

# Python and its modules are Debian's: /usr/bin/python3, whatever else the machine has.
test_packages=(catch2 python3 python3-pytest python3-pexpect strace jq procps shellcheck spin tini clang e2fsprogs
  xfsprogs btrfs-progs curl prometheus)
e2e_packages=(buildah ca-certificates curl iproute2 mmdebstrap openssl podman runc uidmap util-linux)

selection=()
quick=0
while [[ $# -gt 0 ]]; do
  case $1 in
    --quick) quick=1; selection+=(--label-exclude e2e); shift
      export CLAUDE_INIT_FUZZ_SECONDS=${CLAUDE_INIT_FUZZ_SECONDS:-5} ;;
    --help | -h) print_help; exit 0 ;;
    *) break ;;
  esac
done

cd "$top"
install_build_packages
install_packages "to test" "${test_packages[@]}"
if [[ $quick == 0 ]]; then
  install_packages "for the end-to-end tests" "${e2e_packages[@]}"
  install_npm
fi

step "Building the preset dev"
cmake --preset dev >&2
cmake --build --preset dev >&2

step "Testing"
# In thirds of a processor, and one more for what mostly waits (tests/CMakeLists.txt).
exec ctest --preset dev --parallel "$((4 * $(nproc)))" "${selection[@]}" "$@"
