#!/bin/sh
# with-nice.sh [--here] N COMMAND [ARGUMENT]...: with another share of a busy processor than the tests beside it. N is 10
# for what computes for minutes, -10 for what has to keep times of its own (root only; anybody else goes on without).
#
# In a session of its own: where the kernel groups processes by session (autogroup), `nice` counts only within one, and
# the group's own is set in /proc/self/autogroup. Nobody's ^C comes there, so it ends with whoever started it. With
# --here this process becomes the command, in the session that it is in: for daemons, which outlive who started them.
here=
if [ "$1" = --here ]; then
  here=1
  shift
fi
nice=$1
shift
[ "$nice" -gt 0 ] || [ "$(id -u)" = 0 ] || exec "$@"
# shellcheck disable=SC2016  # the inner shell's own
set -- nice -n "$nice" sh -c 'echo "$0" 2>/dev/null >/proc/self/autogroup || :; exec "$@"' "$nice" "$@"
[ -n "$here" ] || set -- setsid --wait setpriv --pdeathsig TERM "$@"
exec "$@"
