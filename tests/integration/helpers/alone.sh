#!/bin/sh
# Runs a command where nobody else mounts anything, which is something to look at for whoever follows a store. In a mount
# namespace of our own: what engines have mounted goes too, since it would go when they remove its directory.
#
# usage: unshare --mount alone.sh COMMAND [ARGUMENT]...
{
  findmnt -rno TARGET -t overlay,nsfs | grep -vx /
  findmnt -rno TARGET -t tmpfs | grep '/shm$' | grep -vx /dev/shm
} | while read -r mounted; do umount --lazy "$mounted"; done
exec "$@"
