#!/bin/sh
# with-nice.sh N COMMAND [ARGUMENT]...: with another share of a busy processor than the tests beside it. N is 10 for what
# computes for minutes, -10 for what has to keep times of its own (root only; anybody else goes on without).
#
# In a session of its own: where the kernel groups processes by session (autogroup), `nice` counts only within one, and
# the group's own is set in /proc/self/autogroup. Nobody's ^C comes there, so it ends with whoever started it.
nice=$1
shift
[ "$nice" -gt 0 ] || [ "$(id -u)" = 0 ] || exec "$@"
# shellcheck disable=SC2016  # the inner shell's own
exec setsid --wait setpriv --pdeathsig TERM nice -n "$nice" \
  sh -c 'echo "$0" 2>/dev/null >/proc/self/autogroup || :; exec "$@"' "$nice" "$@"
