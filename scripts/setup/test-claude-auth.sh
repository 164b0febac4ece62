#!/usr/bin/env bash
# Find out whether the stored login works, by using it.
#
# usage: scripts/setup/test-claude-auth.sh [OPTION]...
#
# First `claude-init health`: what the stored login says of itself. Then the real CLI asks its question with a private
# copy of the login, as every container does. Nothing in the store is changed, but a login whose access token has ended
# is renewed before. Only health and the renewal have the store's key; the CLI that asks has neither that nor, if the
# store is sealed, a refresh token.
#
#   --env NAME      use deploy/env/NAME.env: dev, staging, test
#   --prompt TEXT   the question (default: a short one)
#   --timeout TIME  how long the CLI may take, such as 90 or 2m (default 90)
#   --rebuild       build the image, or the binary and the CLI, anew
#   --verbose       show what the builds and installations print
#   --help
#
# Variables: those of setup-claude-interactive.sh.
#
# Exit status: 0 only if the CLI answered; 1 if health says no, and no renewal helps; 130 if it was interrupted; else that of
# `claude-init run` (docs/reference/exit-statuses.md has the table), which is the CLI's own, or 124 if it took too long.
# The answer goes to standard output, all else to standard error.
set -euo pipefail
# shellcheck source=../lib/backend.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/backend.sh"

environment='' prompt='Reply with the one word: ready' limit=90
while [[ $# -gt 0 ]]; do
  case $1 in
    --env | --env=*) take_value "$@"; environment=$value; shift "$taken" ;;
    --prompt | --prompt=*) take_value "$@"; prompt=$value; shift "$taken" ;;
    --timeout | --timeout=*) take_value "$@"; limit=$value; shift "$taken" ;;
    --rebuild) rebuild=1; shift ;;
    --verbose) verbose=1; shift ;;
    --help | -h) print_help; exit 0 ;;
    *) refuse_usage "There is no option $1." ;;
  esac
done
[[ $limit =~ ^[1-9][0-9]*[smh]?$ ]] || refuse_usage "--timeout '$limit' is not a time such as 90 or 2m."
[[ $limit == *[smh] ]] || limit+=s
declare -A unit=([s]=1 [m]=60 [h]=3600)
limit_seconds=$((${limit%[smh]} * unit[${limit: -1}]))

choose_store "$environment"
choose_backend
setup_command=$(typed setup-claude-interactive.sh)
or_log_in='' if_at_fault=()
if ! is_published_store; then
  or_log_in=", or log in: $setup_command" if_at_fault=("If the login is at fault: $setup_command")
fi

title "Does the stored login work?"
fact store "$store"
describe_backend
[[ -d $store ]] ||
  die "$exit_no_store" "There is no store at $store: no login yet." "Log in: $setup_command"
prepare_backend claude-runtime
store_access=ro give_key=1

step "What the login says of itself"
status=0
run_claude_init claude-runtime health --detailed-exit-code </dev/null >&2 || status=$?
case $status in
  0) ;;
  10)
    step "Its access token has ended: claude-init renews it in the store."
    store_access=rw status=0
    run_claude_init claude-runtime renew </dev/null >&2 || status=$?
    [[ $status == 0 ]] ||
      die 1 "The login could not be renewed: claude-init renew $(ended_by "$status")" "${if_at_fault[@]}"
    store_access=ro ;;
  1[1-7]) die 1 "The login cannot be used (status 1)." "Do what it says above${or_log_in:-.}" ;;
  *) die "$status" "claude-init health $(ended_by "$status")" ;;
esac

give_key=0
is_sealed_store || is_published_store ||
  warn "The store is not sealed: what runs on it can read its refresh token. $setup_command seals it."
step "Asking the CLI: $prompt"
SECONDS=0
# Into a file without a name: in a $(…) it would not be this shell's child.
answer_file=$(mktemp)
exec {answer_fd}<> "$answer_file"
rm "$answer_file"
run_claude_init claude-runtime run -- timeout --kill-after=5 "$limit" claude --print "$prompt" </dev/null \
  >&"$answer_fd" || status=$?
answer=$(cat "/dev/fd/$answer_fd")
[[ -z $answer ]] || printf '%s\n' "$answer"
# `timeout` ends with 137 where only KILL has helped.
if [[ $status == 137 ]] && ((SECONDS >= limit_seconds)); then status=124; fi
case $status in
  0) ;;
  124) die 124 "The CLI did not answer within $limit." "Is the network reachable from here?" ;;
  6[4-9] | 7[0-8]) die "$status" "The CLI was not started (status $status); claude-init says why above." ;;
  *) die "$status" "claude-init run, or the CLI, $(ended_by "$status")" "${if_at_fault[@]}" ;;
esac
[[ -n $answer ]] || die 1 "The CLI ended well and answered nothing."
good "The login works."
