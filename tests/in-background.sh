#!/bin/sh
# in-background.sh COMMAND [ARGUMENT]...: for what computes for minutes beside tests that look at times.
#
# In a session of its own: where the kernel groups processes by session (autogroup), `nice` counts only within one, and
# the group's own is set in /proc/self/autogroup. Nobody's ^C comes there, so it ends with whoever started it.
exec setsid --wait setpriv --pdeathsig TERM nice -n 10 \
  sh -c 'echo 10 2>/dev/null >/proc/self/autogroup || :; exec "$@"' sh "$@"
