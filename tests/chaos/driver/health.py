# SPDX-License-Identifier: MIT
"""Is `drover status` true?  Whatever is not proven to be on a replica makes it
exit 1 within a bounded time, and is named; so where it exits 0 with the writers
standing still for longer than that, the trees are equal.

Each trial keeps changes from one replica in a way of its own, lets the writers
write until the trees differ, lets them stand still, and then asks."""
import random
import signal
import subprocess
import time

from driver.faults import signal_all, used_bytes, without_permission
from driver.world import NAMES, Failure

STAYS = 2  # seconds in which the answer must stay what it is
READ_BY = 2  # seconds after which the agent has read all events, on a busy host, too
OWN_BOUND = 12  # seconds until each kind is told as what it is: silence is at most 8


def bound(world, told_by_itself=False):
    """Seconds after the last change in which all that is not there is told.  What
    waits for no lock is told as what it is, however long the lag limit."""
    limit = min(world.lag_limit, OWN_BOUND) if told_by_itself else world.lag_limit
    return (limit + 4) * world.o.slow


def named(status, name):
    """The reasons that are given for one replica."""
    of = [r for r in status["replicas"] if r["name"] == name][0]
    found = [of[k] for k in ("error", "refused") if of[k] is not None]
    found += ["held deletes"] if of["held_deletes"] > 0 else []
    found += [w for w in status["warnings"] if f"replica {name}" in w["text"]]
    return found + [b for b in status["blocked"] if b.get("replica") == name]


# --- at quiet points --------------------------------------------------------------------


def claims_all(world):
    """status exits 0 and says of every replica that nothing is on its way."""
    code, _ = world.control("status", timeout=10)
    status = world.status() if code == 0 else None
    return status is not None and status["healthy"] and all(
        r["lag_s"] == 0 and r["pending_keys"] == 0 for r in status["replicas"])


def check(world, differences, since):
    """The writers stand still since then: healthy means equal, at the latest when
    the bound is over, and at once where nothing is said to be on its way."""
    if world.edited or world.silent:
        return  # nothing tells of an edit but a look at the disk
    age = time.monotonic() - since
    if age < READ_BY * world.o.slow or not claims_all(world) \
            and (age < bound(world) or world.control("status", timeout=10)[0] != 0):
        return
    for name in NAMES:
        found = differences(name)
        if found:
            raise Failure(f"P9: status exits 0 {age:.1f} s after the last change, and {name} "
                          f"differs: {len(found)} names, such as {min(found)}")
    world.count("healthy and equal")


# --- trials: (replica, words, lift), or None: not here ------------------------------------

def stopped(w, rng):
    """Its receiver is stopped."""
    name = rng.choice(NAMES)
    pids = signal_all(w.receivers(name), signal.SIGSTOP)
    return name, str(pids), lambda: signal_all(pids, signal.SIGCONT)


def frozen(w, _rng):
    """Nothing passes on its link, and nothing is said."""
    if not w.ssh:
        return None
    w.tell_proxy("freeze")
    return "r2", "", lambda: w.tell_proxy("thaw")


def denied(w, _rng):
    """Its directory cannot be written."""
    if not w.root:
        return None
    what, lift = without_permission(w.replica("r3"))
    return "r3", what, lift


def full(w, _rng):
    """Its disk is full."""
    if not w.mounts:
        return None
    room = used_bytes(w.path("r3disk"))
    w.run("mount", "-o", f"remount,size={room}", w.path("r3disk"))
    return "r3", f"{room} bytes", \
        lambda: w.run("mount", "-o", "remount,size=500m", w.path("r3disk"))


def immutable(w, _rng):
    """Its files are immutable."""
    if not w.mounts:
        return None
    keys = w.keys(w.replica("r1"))[:2000]
    w.run("chattr", "+i", *keys)
    return "r1", f"{len(keys)} files", lambda: w.run("chattr", "-i", *keys)


def locked(w, rng):
    """Readers there hold locks of its keys, and it waits for them."""
    waiting = [n for n in NAMES if w.policies[n] == "wait"]
    if not waiting or w.lag_limit > OWN_BOUND:
        return None  # nobody knows but the lag limit how long is too long
    name = rng.choice(waiting)
    keys = w.keys(w.replica(name))[:500]
    seconds = bound(w) + 60 * w.o.slow
    p = subprocess.Popen([w.o.tools + "/chaos_tool", "hold", "shared", f"{seconds:.0f}", *keys],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    got = p.stdout.readline().decode().strip()

    def lift():
        p.kill()
        p.wait()
    return name, got, lift


TRIALS = (stopped, frozen, denied, full, immutable, locked)


class Health:
    def __init__(self, world, calm, seed):
        self.w, self.calm = world, calm
        self.rng = random.Random(f"health {seed}")

    def begin(self):
        """Equal, healthy, and nothing is held against it from before."""
        self.w.pause_writers(True)
        self.calm.settle()
        self.w.control("reload")
        self.w.wait_for("status exits 0", lambda: self.w.control("status")[0] == 0,
                        self.w.o.patience * self.w.o.slow)

    def fall_behind(self, name):
        self.w.pause_writers(False)
        self.w.wait_for(f"{name} falls behind", lambda: self.calm.differences(name),
                        60 * self.w.o.slow)
        self.w.pause_writers(True)
        return time.monotonic()

    def watch(self, name, since):
        """It differs all the time, for nothing gets through; the bound is over."""
        limit = bound(self.w, told_by_itself=True)
        told = None
        while told is None or time.monotonic() < since + limit + STAYS:
            self.w.check_programs()
            code, text = self.w.control("status", timeout=10)
            status = self.w.status()
            age = time.monotonic() - since
            good = code == 1 and status is not None and named(status, name)
            if good and told is None:
                told = age
            if age > limit and not good and self.calm.differences(name):
                raise Failure(f"P9: {age:.1f} s after the last change {name} differs, and status "
                              f"exits {code} and says:\n{text}")
            if age > limit and not good:
                break  # something got through after all
            time.sleep(0.1)
        return told

    def one(self, trial):
        self.begin()
        struck = trial(self.w, self.rng)
        if struck is None:
            self.w.log(f"left out: {trial.__name__}")
            return
        name, what, lift = struck
        self.w.log(f"{trial.__name__}: {name} {what}")
        try:
            told = self.watch(name, self.fall_behind(name))
        finally:
            lift()
        if told is None:
            self.w.log(f"{trial.__name__}: it came through before there was anything to tell")
        else:
            self.w.count("told of " + trial.__name__)
            self.w.log(f"{trial.__name__}: told after {told:.1f} s")
        lifted = time.monotonic()
        self.w.wait_for("status exits 0 again, and nothing is on its way",
                        lambda: self.w.control("reload")[0] == 0 and claims_all(self.w),
                        self.w.o.patience * self.w.o.slow)
        check(self.w, self.calm.differences, min(lifted, time.monotonic() - READ_BY * self.w.o.slow))
        self.calm.settle()
        self.calm.must_be_equal(f"after {trial.__name__}")

    def run(self):
        trials = list(TRIALS)
        self.rng.shuffle(trials)
        for trial in [stopped] if self.w.o.break_kind else trials:
            self.one(trial)
        self.w.pause_writers(False)
