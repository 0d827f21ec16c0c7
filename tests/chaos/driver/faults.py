# SPDX-License-Identifier: MIT
"""The faults.  Each is a function that strikes: it gets the world and a random
generator of its own, and returns what it did in words, for how many seconds,
and how it is lifted (None: it lifts itself).

`touches` names what a fault changes: two that touch the same are never there
together.  "mounts" among `needs` means root and a mount namespace.
"""
import fcntl
import os
import signal
import struct
import subprocess

from driver.world import NAMES, Failure

FAULTS = {}


class Fault:
    def __init__(self, strike, name, touches, needs, weight):
        self.strike, self.name, self.touches = strike, name, set(touches)
        self.needs, self.weight = needs, weight
        self.text = " ".join(strike.__doc__.split())

    def missing(self, world):
        """Why it cannot be done here, or None."""
        if "root" in self.needs and not world.root:
            return "needs root"
        if "mounts" in self.needs and not world.mounts:
            return "needs root and a mount namespace"
        if "clock" in self.needs and not world.o.clock:
            return "a sanitized agent takes no preloaded clock"
        if "ssh" in self.needs and not world.ssh:
            return "there is no sshd"
        return None


def fault(name, touches=(), needs=(), weight=3):
    def add(strike):
        FAULTS[name] = Fault(strike, name, touches, needs, weight)
        return strike
    return add


def signal_all(pids, sig):
    done = []
    for pid in pids:
        try:
            os.kill(pid, sig)
            done.append(pid)
        except ProcessLookupError:
            pass
    return done


# --- processes ------------------------------------------------------------------------

@fault("agent-kill", touches=("agent",))
def agent_kill(w, rng):
    """kill -9 of the agent; started again after up to 2 s."""
    w.kill_agent(signal.SIGKILL)
    return "kill -9", rng.uniform(0, 2), w.start_agent


@fault("agent-stop", touches=("agent",))
def agent_stop(w, rng):
    """SIGSTOP of the agent, SIGCONT after up to 6 s."""
    agent = w.agent
    agent.send_signal(signal.SIGSTOP)
    return "stopped", rng.uniform(0.1, 6), lambda: agent.send_signal(signal.SIGCONT)


@fault("agent-term", touches=("agent",), weight=2)
def agent_term(w, rng):
    """SIGTERM of the agent, which must end with 0; started again."""
    w.kill_agent(signal.SIGTERM)
    return "ended", rng.uniform(0, 1), w.start_agent


@fault("agent-reload", weight=1)
def agent_reload(w, rng):
    """SIGHUP: the configuration is read again, unchanged."""
    if w.agent.poll() is None:
        w.agent.send_signal(signal.SIGHUP)
    return "SIGHUP", 0, None


@fault("receiver-kill", weight=4)
def receiver_kill(w, rng):
    """kill -9 of a replica's receiver."""
    name = rng.choice(NAMES)
    return f"{name} {signal_all(w.receivers(name), signal.SIGKILL)}", 0, None


@fault("receiver-stop", touches=("receivers",))
def receiver_stop(w, rng):
    """SIGSTOP of a receiver, SIGCONT after up to 8 s."""
    name = rng.choice(NAMES)
    pids = signal_all(w.receivers(name), signal.SIGSTOP)
    return f"{name} {pids}", rng.uniform(0.1, 8), lambda: signal_all(pids, signal.SIGCONT)


@fault("sshd-kill", touches=("sshd",), needs=("ssh",))
def sshd_kill(w, rng):
    """kill -9 of one of sshd's children: what it fed goes on for a while."""
    found = w.sessions()
    pids = rng.sample(found, min(len(found), 1))
    return f"{signal_all(pids, signal.SIGKILL)}", 0, None


@fault("sshd-stop", touches=("sshd",), needs=("ssh",))
def sshd_stop(w, rng):
    """SIGSTOP of sshd's children, SIGCONT after up to 8 s."""
    found = w.sessions()
    pids = signal_all(rng.sample(found, rng.randint(0, len(found))), signal.SIGSTOP)
    return f"{pids}", rng.uniform(0.1, 8), lambda: signal_all(pids, signal.SIGCONT)


@fault("sshd-cut", touches=("sshd",), needs=("ssh",), weight=2)
def sshd_cut(w, rng):
    """sshd is gone with all its sessions; back after up to 3 s."""
    w.lab("cut")
    return "cut", rng.uniform(0, 3), lambda: w.lab("restore")


# --- the link of r2 -----------------------------------------------------------------------

@fault("link-reset", touches=("link",), needs=("ssh",), weight=2)
def link_reset(w, rng):
    """RST on the link of r2, now or in the middle of what follows."""
    after = rng.choice((0, rng.randint(1, 5000), rng.randint(1, 500_000)))
    w.tell_proxy("cut", after)
    return f"after {after} bytes", 0.5, lambda: w.tell_proxy("rst")


@fault("link-fin", touches=("link",), needs=("ssh",), weight=2)
def link_fin(w, rng):
    """FIN on the link of r2."""
    w.tell_proxy("fin")
    return "fin", 0, None


@fault("link-freeze", touches=("link",), needs=("ssh",))
def link_freeze(w, rng):
    """Nothing passes on the link of r2, and nothing is said, for up to 8 s."""
    w.tell_proxy("freeze")
    return "frozen", rng.uniform(0.1, 8), lambda: w.tell_proxy("thaw")


@fault("link-half", touches=("link",), needs=("ssh",))
def link_half(w, rng):
    """Half open: one direction of r2's link passes nothing."""
    way = rng.choice(("up", "down"))
    w.tell_proxy("half", way)
    return way, rng.uniform(0.1, 8), lambda: w.tell_proxy("thaw")


@fault("link-slow", touches=("link",), needs=("ssh",))
def link_slow(w, rng):
    """The link of r2 has little bandwidth and a long delay."""
    rate, latency = rng.choice((3000, 30_000, 1_000_000)), rng.choice((0, 20, 200))
    w.tell_proxy("rate", rate)
    w.tell_proxy("latency", latency)

    def lift():
        w.tell_proxy("rate", 0)
        w.tell_proxy("latency", 0)
    return f"{rate} bytes/s, {latency} ms", rng.uniform(1, 8), lift


@fault("link-refuse", touches=("link",), needs=("ssh",), weight=2)
def link_refuse(w, rng):
    """The link of r2 is cut and new connections are refused."""
    w.tell_proxy("refuse")
    w.tell_proxy("rst")
    return "refused", rng.uniform(0.1, 4), lambda: w.tell_proxy("accept")


# --- the primary ------------------------------------------------------------------------------

@fault("overflow", touches=("agent", "root"), weight=1)
def overflow(w, rng):
    """The agent stands still until inotify's queue overflows."""
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as f:
        queue = int(f.read())
    if queue > 100_000:
        return f"not done: fs.inotify.max_queued_events is {queue}", 0, None
    agent = w.agent
    agent.send_signal(signal.SIGSTOP)
    os.makedirs(os.path.join(w.primary, "flood.tbl"), exist_ok=True)
    w.run(os.path.join(w.o.e2e, "e2e_writer"), "many", os.path.join(w.primary, "flood.tbl"),
          str(queue // 4 + 500), str(rng.choice((1, 60, 1500))), "100")
    return f"{queue} events", rng.uniform(0, 1), lambda: agent.send_signal(signal.SIGCONT)


def hold_locks(w, rng, top, how, seconds):
    keys = w.keys(top)
    chosen = rng.sample(keys, min(len(keys), rng.choice((1, 5, 40))))
    if not chosen:
        return "no keys", 0, None
    p = subprocess.Popen([os.path.join(w.o.tools, "chaos_tool"), "hold", how, f"{seconds:.3f}",
                          *chosen], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    got = p.stdout.readline().decode().strip()

    def lift():
        p.kill()
        p.wait()
    return f"{how}, {got}", seconds, lift


@fault("lock-primary", touches=("root",))
def lock_primary(w, rng):
    """Others hold locks of keys on the primary, share or exclusive."""
    return hold_locks(w, rng, w.primary, rng.choice(("shared", "exclusive")),
                      rng.uniform(0.05, 3))


@fault("lock-replica", touches=("locks",), weight=4)
def lock_replica(w, rng):
    """Others hold locks of keys on a replica, share or exclusive."""
    name = rng.choice(("r2", "r3"))
    what, seconds, lift = hold_locks(w, rng, w.replica(name),
                                     rng.choice(("shared", "shared", "exclusive")),
                                     rng.uniform(0.05, 6))
    return f"{name} {what}", seconds, lift


def without_permission(path, flags=0):
    """(words, lift): the mode becomes 000 and what it was."""
    fd = os.open(path, os.O_RDONLY | flags)
    mode = os.fstat(fd).st_mode & 0o7777
    os.fchmod(fd, 0)

    def lift():
        os.fchmod(fd, mode)
        os.close(fd)
    return f"{os.fsdecode(path)!a}", lift


@fault("perm-primary", touches=("root",), needs=("root",))
def perm_primary(w, rng):
    """A key or a table of the primary cannot be read."""
    if rng.random() < 0.5:
        tables = w.run(os.path.join(w.o.tools, "chaos_tool"), "tables").stdout.split()
        path = os.path.join(w.primary, rng.choice(tables[1:]))
    else:
        path = rng.choice(w.keys(w.primary))
    try:
        what, lift = without_permission(path)
    except FileNotFoundError:
        return "gone", 0, None
    return what, rng.uniform(0.1, 4), lift


@fault("root-moved", touches=("root",), weight=2)
def root_moved(w, rng):
    """The primary's root is moved away and put back; writers go on in it."""
    os.rename(w.primary, w.primary + ".away")
    return "moved", rng.uniform(0.05, 4), lambda: os.rename(w.primary + ".away", w.primary)


@fault("root-empty", touches=("root",), weight=2)
def root_empty(w, rng):
    """An empty directory takes the place of the primary's root."""
    os.rename(w.primary, w.primary + ".away")
    os.mkdir(w.primary)

    def lift():
        w.empty(w.primary)
        os.rename(w.primary + ".away", w.primary)
    return "replaced", rng.uniform(0.05, 4), lift


@fault("root-covered", touches=("root",), needs=("mounts",), weight=2)
def root_covered(w, rng):
    """An empty file system is mounted over the primary's root."""
    w.run("mount", "-t", "tmpfs", "-o", "size=1m", "none", w.primary)
    return "covered", rng.uniform(0.05, 4), lambda: w.run("umount", "-l", w.primary)


@fault("root-unmounted", touches=("root",), needs=("mounts",), weight=2)
def root_unmounted(w, rng):
    """The primary's disk is unmounted and mounted again; writers wait."""
    w.pause_writers(True)
    w.run("umount", "-l", w.path("disk"))

    def lift():
        w.run("mount", w.devices["disk"], w.path("disk"))
        w.pause_writers(False)
    return "unmounted", rng.uniform(0.05, 4), lift


@fault("clock", needs=("clock",), weight=2)
def clock(w, rng):
    """The agent's wall clock is stepped, forth and back within 20 s."""
    # Never ahead of the real one, with which the kernel stamps files: new files
    # would look old, as no stepped clock makes them.
    shift = rng.uniform(-20, 0)
    w.journal.step_clock(int(shift * 1e9))
    return f"{shift:+.3f} s", 0, None


# --- replicas -----------------------------------------------------------------------------------

def used_bytes(path):
    st = os.statvfs(path)
    return (st.f_blocks - st.f_bfree) * st.f_frsize


@fault("disk-full", touches=("r3",), needs=("mounts",))
def disk_full(w, rng):
    """ENOSPC: the tmpfs of r3 has no more blocks."""
    room = used_bytes(w.path("r3disk")) + rng.choice((0, 4096, 65536, 1 << 20))
    w.run("mount", "-o", f"remount,size={max(room, 4096)}", w.path("r3disk"), check=False)
    return f"{room} bytes", rng.uniform(0.5, 5), \
        lambda: w.run("mount", "-o", "remount,size=500m", w.path("r3disk"))


@fault("no-inodes", touches=("r3",), needs=("mounts",), weight=2)
def no_inodes(w, rng):
    """ENOSPC: the tmpfs of r3 has no more inodes."""
    st = os.statvfs(w.path("r3disk"))
    inodes = st.f_files - st.f_ffree + rng.randint(0, 6)
    w.run("mount", "-o", f"remount,nr_inodes={inodes}", w.path("r3disk"), check=False)
    return f"{inodes} inodes", rng.uniform(0.5, 4), \
        lambda: w.run("mount", "-o", "remount,nr_inodes=200k", w.path("r3disk"))


def with_receivers_gone(w, name, do):
    """Do something while no receiver has files open: the agent stands still."""
    w.agent.send_signal(signal.SIGSTOP)
    try:
        signal_all(w.receivers(name), signal.SIGKILL)
        for _ in range(200):
            if not w.receivers(name) and do():
                return True
            signal_all(w.receivers(name), signal.SIGKILL)
            subprocess.run(["sleep", "0.01"], check=True)
        return False
    finally:
        w.agent.send_signal(signal.SIGCONT)


@fault("read-only", touches=("agent", "r1", "r3", "receivers", "locks"), needs=("mounts",), weight=2)
def read_only(w, rng):
    """EROFS: the disk of r1 or r3 becomes read-only while its receiver dies."""
    name = rng.choice(("r1", "r3"))
    disk = w.path(name + "disk")
    ok = with_receivers_gone(
        w, name, lambda: w.run("mount", "-o", "remount,ro", disk, check=False).returncode == 0)
    if not ok:
        return f"{name}: not done, the disk is busy", 0, None
    return name, rng.uniform(0.2, 3), lambda: w.run("mount", "-o", "remount,rw", disk)


@fault("power-loss", touches=("agent", "r1", "receivers"), needs=("mounts",))
def power_loss(w, rng):
    """The disk of r1 fails with EIO; then the power: nothing is flushed, the
    file system is mounted anew.  What was claimed must be there."""
    disk = w.path("r1disk")
    shutdown, no_flush = 0x8004587D, struct.pack("I", 2)  # EXT4_IOC_SHUTDOWN
    fd = os.open(disk, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.ioctl(fd, shutdown, no_flush)
    os.close(fd)

    def lift():
        w.hold_reader("r1")
        if not with_receivers_gone(
                w, "r1", lambda: w.run("umount", disk, check=False).returncode == 0):
            raise Failure("the disk of r1 cannot be unmounted")
        w.run("mount", w.devices["r1disk"], disk)
        w.journal.lost_power(0)
        w.release_reader("r1")
    return "EIO", rng.uniform(0, 2), lift


@fault("perm-replica", touches=("r3",), needs=("root",), weight=2)
def perm_replica(w, rng):
    """A table of r3, its root or its metadata cannot be written."""
    top = w.replica("r3")
    inside = [d for d in sorted(os.listdir(top)) if d.endswith(".tbl")]
    path = os.path.join(top, rng.choice([".drover", "."] + inside))
    try:
        what, lift = without_permission(path)
    except FileNotFoundError:
        return "gone", 0, None
    return what, rng.uniform(0.1, 4), lift


@fault("hand-edit", weight=3)
def hand_edit(w, rng):
    """Files of a replica are cut, changed, emptied, put back to old versions,
    added or removed by hand; whole tables, too."""
    name = rng.choice(NAMES)
    if not os.path.exists(os.path.join(w.replica(name), ".drover/replica")):
        return f"{name}: no replica yet", 0, None  # it would be refused, DR-307
    done = w.run(os.path.join(w.o.tools, "chaos_edit"), w.path("journal"), w.replica(name),
                 str(w.number(name)), str(rng.randrange(1 << 30)), "fault",
                 str(rng.choice((1, 4, 12))), check=False)
    w.edited.add(name)
    return f"{name}: {len(done.stdout.splitlines())} edits", 0, None


# --- operators ------------------------------------------------------------------------------------

@fault("operator", weight=3)
def operator(w, rng):
    """pause and resume, resync, verify, approve, reload, in the middle of it."""
    name = rng.choice(NAMES)
    command = rng.choice((("pause", name), ("resync",), ("resync", name), ("verify",),
                          ("resync", "--content"), ("verify", "--content", name),
                          ("approve", name), ("reload",)))
    p = subprocess.Popen([w.o.drover, "--socket", w.sockets, *command], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def lift():
        if p.poll() is None:
            p.kill()
        p.wait()
        if command[0] == "pause":
            w.control("resume", timeout=10)
    return " ".join(command), rng.uniform(0.2, 4), lift
