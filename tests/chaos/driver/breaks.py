# SPDX-License-Identifier: MIT
"""Proof that the checks can fail: something that must not happen is done behind
the readers' backs, and has to be reported under the right promise."""
import os
import re
import signal
import time

from driver.faults import signal_all
from driver.world import Failure

# kind: (what must be reported, what chaos_edit does, how much of it)
BREAKS = {
    "torn": (r"BROKEN P1", "torn", 20),
    "foreign": (r"BROKEN P[12]", "foreign", 20),
    "old": (r"BROKEN P2", "old", 20),
    "missing": (r"BROKEN P2 \(vanished\)", "missing", 20),
    "fresh": (r"BROKEN P9", "fresh", 20),
    "different": (r"r1 differs after wait", None, 0),
    "health": (r"P9: .* differs, and status exits 0", None, 0),
}


def strike(world, seconds):
    """Until a reader reports it; the failure is raised by check_programs()."""
    _, what, count = BREAKS[world.o.break_kind]
    end = time.monotonic() + seconds
    if what == "fresh":
        freshness = os.path.join(world.replica("r3"), ".drover", "freshness")
        while not os.path.exists(freshness) and time.monotonic() < end:
            world.check_programs()
            time.sleep(0.02)
        # So that it is certainly behind.
        signal_all(world.receivers("r3"), signal.SIGSTOP)
    seed = 0
    while what is not None and time.monotonic() < end:
        seed += 1
        world.run(os.path.join(world.o.tools, "chaos_edit"), world.path("journal"),
                  world.replica("r3"), "2", str(seed), what, str(count))
        for _ in range(50):
            world.check_programs()
            time.sleep(0.02)


def judge(kind, failure):
    """0 when it was reported as it has to be."""
    if failure is None:
        print(f"--break {kind}: nobody noticed")
        return 1
    if not re.search(BREAKS[kind][0], str(failure)):
        print(f"--break {kind}: reported as something else:\n{failure}")
        return 1
    print(f"--break {kind}: reported: {str(failure).splitlines()[0]}")
    return 0


def check_kind(kind):
    if kind is not None and kind not in BREAKS:
        raise Failure(f"no such kind of break: {kind}; there are {', '.join(BREAKS)}")
