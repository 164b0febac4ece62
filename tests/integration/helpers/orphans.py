"""orphans.py N: makes N orphans that end at once, says how many it made, and waits. USR2: exits with 5."""

import os
import signal
import sys

count = int(sys.argv[1])
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})  # one that comes before it is waited for stays pending
os.write(1, b"ready\n")
# A hundred parents at a time that leave a hundred orphans each.
for _ in range(count // 100):
    if os.fork() == 0:
        for _ in range(100):
            if os.fork() == 0:
                os._exit(0)
        os._exit(0)
    os.wait()
os.write(1, f"all {count} made\n".encode())
signal.sigwait({signal.SIGUSR2})
os._exit(5)
