#!/usr/bin/env bash
# Log in to the Claude CLI once; the login is kept for other containers.
#
# usage: scripts/setup/setup-claude-interactive.sh [OPTION]... [[--] COMMAND [ARGUMENT]...]
#
# Opens a shell in a container of the image claude-setup. In it: run `claude --dangerously-skip-permissions`, log in,
# leave the CLI, then `exit`. What the CLI has written goes to the store. With a COMMAND, that runs instead of the shell.
# The refresh token is sealed there, with a key beside the store, which is made the first time.
# Without docker or podman the same happens on this machine, with the CLI in a private place and a home for the
# occasion; your own ~/.claude is not touched.
#
#   --env NAME     use deploy/env/NAME.env: dev, staging, test
#   --prepare      get everything ready (image, or packages, binary and CLI) and stop
#   --rebuild      do so even if it is there already
#   --verbose      show what the builds and installations print
#   --help
#
# Variables:
#   CLAUDE_HUB_DIR             the store (default ~/.claude-hub)
#   CLAUDE_HUB_KEY             the file with its key (default: the store's name with .key behind it)
#   CLAUDE_INIT_ENGINE         docker, podman or none, instead of the first that answers
#   CLAUDE_INIT_ENGINE_ARGS    further arguments for `docker run`, such as "--network=host"
#   CLAUDE_INIT_CLI_ENV        names of further variables that the CLI is to get
#   CLAUDE_INIT_LOGIN_COMMAND  what people are told to type to log in, if it is not this
#   CLAUDE_CODE_VERSION        another version of the CLI than the pinned one
#   HTTPS_PROXY, HTTP_PROXY, NO_PROXY, NODE_EXTRA_CA_CERTS and CLAUDE_INIT_LOG_LEVEL are passed on.
#
# The exit status is that of `claude-init setup`: 0 if a login is in the store (docs/reference/exit-statuses.md has the table).
set -euo pipefail
# shellcheck source=../lib/backend.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lib/backend.sh"

environment='' prepare_only=0
while [[ $# -gt 0 ]]; do
  case $1 in
    --env | --env=*) take_value "$@"; environment=$value; shift "$taken" ;;
    --prepare) prepare_only=1; shift ;;
    --rebuild) rebuild=1; shift ;;
    --verbose) verbose=1; shift ;;
    --help | -h) print_help; exit 0 ;;
    --) shift; break ;;
    -*) refuse_usage "There is no option $1." ;;
    *) break ;;
  esac
done

choose_store "$environment"
choose_backend
if [[ $prepare_only == 0 && $# == 0 && ! ( -t 0 && -t 1 ) ]]; then
  die "$exit_usage" "Logging in is a conversation and needs a terminal; there is none here." \
    "Run this in a terminal (with ssh: ssh -t), or give a COMMAND that needs none."
fi

title "Claude login, once for all containers"
fact store "$store$([[ -e $store/.credentials.json ]] && echo ' (has a login already)')"
describe_backend
prepare_backend claude-setup
if [[ $prepare_only == 1 ]]; then
  good "Everything is ready."
  exit 0
fi

# Made here, so that it belongs to you: the engine would make it for root.
(umask 077 && mkdir -p -- "$store") || die "$exit_unavailable" "The store $store cannot be made."
is_published_store || provide_key
store_access=rw give_key=1
status=0
run_claude_init claude-setup setup -- "$@" || status=$?
if [[ $status == 0 ]]; then
  good "Now try it: $(typed test-claude-auth.sh)"
  more "Then use it: $(typed_run)"
else
  fail "claude-init setup, or its command, $(ended_by "$status")"
fi
exit "$status"
