# shellcheck shell=bash
# What every script here needs: where the checkout is, how to talk to a person, and how to install and build.
# To be sourced under `set -euo pipefail`.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

# Statuses as claude-init's own, so that one table explains them all.
readonly exit_usage=64 exit_no_store=66 exit_unavailable=69

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
# die STATUS WHAT [WHAT-TO-DO]...: the failure's name is a heading of docs/runbook.md.
die() {
  local status=$1 line name=''
  case $status in
    "$exit_usage") name='[usage] ' ;;
    "$exit_no_store") name='[no-store] ' ;;
    "$exit_unavailable") name='[unavailable] ' ;;
  esac
  fail "$name$2"
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

# Runs a long and dull command: of its output only what shows that it goes on, and its end if it fails.
verbose=0
quietly() {
  local log output status=0
  if [[ $verbose == 1 ]]; then "$@" >&2; return; fi
  log=$(mktemp)
  exec {output}<> "$log"
  rm "$log"
  "$@" 2>&1 {output}>&- | show_progress "$output" || status=${PIPESTATUS[0]}
  [[ $status == 0 ]] || tail -n 40 "/dev/fd/$output" >&2
  exec {output}>&-
  return "$status"
}

# show_progress DESCRIPTOR: copies its input there. On a terminal one line shows for how long and what was written last, from
# the third second on; elsewhere there is one every half minute.
show_progress() {
  local line='' begun_line='' part begun=$SECONDS told=$SECONDS pause=30 columns=0 status=0
  trap '' INT    # it ends with whoever writes
  if [[ -t 2 ]]; then pause=1 columns=$(stty size <&2 2>/dev/null | cut -d' ' -f2); fi
  ((columns > 0)) || columns=80
  while ((status == 0 || status > 128)); do
    status=0
    IFS= read -r -t 1 part || status=$?    # 1 at the end, more than 128 when the time is over
    begun_line+=$part
    if ((status <= 128)) && [[ $status == 0 || -n $begun_line ]]; then
      printf '%s\n' "$begun_line" >&"$1"
      [[ -z $begun_line ]] || line=$begun_line
      begun_line=''
    fi
    ((SECONDS - told >= pause && SECONDS - begun > 2)) || continue
    told=$SECONDS
    part=$(printf '%4d s  %s' $((SECONDS - begun)) "${line//[^[:print:]]/ }")
    if [[ -t 2 ]]; then printf '\r\e[K%s%s%s' "$dim" "${part:0:columns - 1}" "$plain" >&2; else more "$part"; fi
  done
  [[ ! -t 2 || $told == "$begun" ]] || printf '\r\e[K' >&2
}

# Sets `as_root`: how a command becomes root's. What cannot be is a refusal, with what root has to type.
need_root() {
  as_root=()
  [[ $(id -u) != 0 ]] || return 0
  command -v sudo >/dev/null || die "$exit_unavailable" "Installing packages needs root, and there is no sudo." "As root: $*"
  as_root=(sudo)
}

read_package_lists() {
  quietly "${as_root[@]}" apt-get update -qq ||
    die "$exit_unavailable" "Debian's package lists could not be read; the reason is above."
}

# Debian packages that are missing are installed, and the reason is told.
install_packages() {
  local reason=$1 package missing=() as_root
  shift
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  step "Installing from Debian, $reason: ${missing[*]}"
  need_root apt-get install --no-install-recommends "${missing[@]}"
  read_package_lists
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes -qq --no-install-recommends "${missing[@]}" ||
    die "$exit_unavailable" "Debian's packages could not be installed; the reason is above."
}

# install_build_packages REASON [PACKAGE]...: what the build needs, and more, in one call. The list is the Dockerfiles'
# too. On a machine whose lists were never read it cannot be known.
install_build_packages() {
  local reason=$1 packages list=$top/scripts/lib/build-packages as_root
  shift
  packages=$("$list" 2>/dev/null) || {
    need_root apt-get update
    read_package_lists
    packages=$("$list") || die "$exit_unavailable" "Debian's packages to build with are not known; the reason is above."
  }
  mapfile -t packages <<< "$packages"
  install_packages "$reason" "${packages[@]}" "$@"
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
