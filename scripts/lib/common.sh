# shellcheck shell=bash
# What every script here needs: where the checkout is, how to talk to a person, and how to install and build.
# To be sourced under `set -euo pipefail`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Statuses as claude-init's own, so that one table explains them all.
readonly exit_usage=64 exit_unavailable=69

if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
  bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' plain=$'\e[0m'
else
  bold='' dim='' red='' green='' yellow='' plain=''
fi

# All of it goes to standard error: standard output belongs to the command that is run.
title() { printf '%s%s%s\n' "$bold" "$*" "$plain" >&2; }
fact() { printf '  %s%-9s%s %s\n' "$dim" "$1" "$plain" "$2" >&2; }
step() { printf '%s==>%s %s\n' "$bold" "$plain" "$*" >&2; }
good() { printf '%s ok %s %s\n' "$green" "$plain" "$*" >&2; }
warn() { printf '%snote%s %s\n' "$yellow" "$plain" "$*" >&2; }
fail() { printf '%sfail%s %s\n' "$red" "$plain" "$*" >&2; }
more() { printf '     %s\n' "$1" >&2; }
# die STATUS WHAT [WHAT-TO-DO]...
die() {
  local status=$1 line
  fail "$2"
  for line in "${@:3}"; do more "$line"; done
  exit "$status"
}

# ^C is for the script, whatever the command that runs meanwhile makes of it; whoever called the script is told, too.
interrupted() {
  [[ ! -t 2 ]] || echo >&2    # behind the terminal's own ^C
  fail "Interrupted."
  end_by INT
}
trap interrupted INT

end_by() { trap - "$1"; kill "-$1" $$; }

# The comment at the head of the calling script is its help.
print_help() { sed -nE '2,/^[^#]/s/^# ?//p' "$0"; }

refuse_usage() { die "$exit_usage" "$1" "Run $(basename "$0") --help for what there is."; }

# take_value "$@" where $1 is an option that has a value, as `--name VALUE` or `--name=VALUE`: sets `value`, and `taken`
# to how many words that are.
take_value() {
  # shellcheck disable=SC2034 # for the caller
  if [[ $1 == *=* ]]; then value=${1#*=} taken=1; else value=${2:-} taken=2; fi
  [[ -n $value ]] || refuse_usage "${1%%=*} needs a value."
}

# ended_by STATUS: what can be said of it, whoever it comes from.
ended_by() {
  local signal as_by=''
  if (($1 > 128)) && signal=$(kill -l "$1" 2>/dev/null); then as_by=" (as by the signal $signal)"; fi
  echo "ended with status $1$as_by; if it said why, that is above."
}

# The one place where the CLI's version is pinned.
pinned_cli_version() {
  echo "${CLAUDE_CODE_VERSION:-$(sed -nE 's/^ARG CLAUDE_CODE_VERSION=(.+)$/\1/p' "$top/Dockerfile.claude-setup")}"
}

# Runs a long and dull command: silent if it works, its output if it does not.
verbose=0
quietly() {
  local output status=0
  if [[ $verbose == 1 ]]; then "$@" >&2; return; fi
  output=$("$@" 2>&1) || status=$?
  [[ $status == 0 ]] || printf '%s\n' "$output" | tail -n 40 >&2
  return "$status"
}

# Debian packages that are missing are installed, with sudo if need be, and the reason is told.
install_packages() {
  local reason=$1 package missing=() as_root=()
  shift
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  step "Installing from Debian, $reason: ${missing[*]}"
  if [[ $(id -u) != 0 ]]; then
    command -v sudo >/dev/null ||
      die "$exit_unavailable" "That needs root, and there is no sudo." \
        "As root: apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  quietly "${as_root[@]}" apt-get update -qq ||
    die "$exit_unavailable" "Debian's package lists could not be read; the reason is above."
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes -qq --no-install-recommends "${missing[@]}" ||
    die "$exit_unavailable" "Debian's packages could not be installed; the reason is above."
}

# install_build_packages [PACKAGE]...: what the build needs (the list is the Dockerfiles' too), and more, in one call.
install_build_packages() {
  local packages
  mapfile -t packages < "$top/scripts/lib/build-packages"
  install_packages "to build${1:+ and test} claude-init" "${packages[@]}" "$@"
}

# Debian's npm, unless there is another one: its dependencies and a foreign Node.js exclude each other.
install_npm() { command -v npm >/dev/null || install_packages "to fetch the CLI" npm ca-certificates; }

# install_cli DIRECTORY: the CLI in its pinned version, from npm; DIRECTORY/bin/claude is its binary.
install_cli() {
  local version
  version=$(pinned_cli_version)
  [[ $(cat "$1/version" 2>/dev/null) != "$version" ]] || return 0
  install_npm
  step "Installing Claude Code $version from npm into $1"
  quietly npm install --global --prefix "$1" --no-fund --no-audit --no-update-notifier \
    "@anthropic-ai/claude-code@$version" ||
    die "$exit_unavailable" "npm could not install the CLI; the reason is above."
  echo "$version" > "$1/version"
}

# build/release/claude-init: the static binary, by the same preset as in the images.
build_release() {
  (cd "$top" && cmake --preset release && cmake --build --preset release)
}
