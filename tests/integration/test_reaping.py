"""Every orphan is reaped, as PID 1 and as subreaper, while signals arrive."""

import os
import select
import signal

from harness import children, eventually, helper


def test_orphans_come_to_us_and_are_reaped(start):
    init = start(["sh", "-c", "(sleep 60 &); exec sleep 61"])
    main, orphan = eventually(lambda: len(children(init.pid)) == 2 and children(init.pid), "the orphan is ours")
    os.kill(max(main, orphan), signal.SIGKILL)
    eventually(lambda: children(init.pid) == [min(main, orphan)], "the orphan reaped")


def test_ten_thousand_orphans_in_a_burst_while_signals_arrive(start):
    init = start(helper("orphans.py", 10000))
    init.expect("ready")
    main = init.child()
    sent = 0
    while not select.select([init.process.stdout], [], [], 0)[0]:
        os.kill(init.pid, signal.SIGUSR1)
        sent += 1
    init.expect("all 10000 made")
    eventually(lambda: children(init.pid) == [main], "every orphan reaped")
    assert sent > 0
    os.kill(init.pid, signal.SIGUSR2)
    assert init.wait() == 5  # it still forwards


def test_children_that_end_at_the_same_moment_as_the_command_do_not_hang_us(start):
    for _ in range(50):
        init = start(["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do (true &); done; exit 127"], wait=False)
        assert init.wait() == 127
        init.destroy()


def test_the_command_ends_before_its_background_children_and_its_status_counts(start):
    init = start(["sh", "-c", "sleep 0.2 & (sleep 0.1; exit 9) & exit 6"], wait=False)
    assert init.wait() == 6
