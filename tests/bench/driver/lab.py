# SPDX-License-Identifier: MIT
"""The place where benchmarks run: a work folder, a throwaway sshd, and what
is measured around a piece of work (time, CPU of the whole machine)."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.normpath(os.path.join(HERE, "..", "..", ".."))
TICKS = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A run whose result cannot be used."""


def busy_seconds():
    """CPU seconds that all cores together have spent so far, but idle."""
    with open("/proc/stat", encoding="ascii") as f:
        n = [int(x) for x in f.readline().split()[1:]]
    return (sum(n[:8]) - n[3] - n[4]) / TICKS


def status_of(pid, field):
    """A number of /proc/PID/status, such as VmHWM in KiB; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def wait_until(what, condition, seconds=120, every=0.02):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(every)


class Measure:
    """with Measure() as m: ...; then m.wall and m.cpu in seconds."""

    def __enter__(self):
        self.cpu0, self.t0 = busy_seconds(), time.monotonic()
        return self

    def __exit__(self, *_):
        self.wall = time.monotonic() - self.t0
        self.cpu = busy_seconds() - self.cpu0


def _run(*argv):
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


class Image:
    """A new ext4, as Debian makes it, in a file: what a filesystem has been
    through (inodes just freed, above all) changes figures by factors."""

    def __init__(self, top, name, gib):
        self.file = os.path.join(top, name + ".image")
        self.mount = os.path.join(top, name)
        os.mkdir(self.mount)
        with open(self.file, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, gib << 30)
        # Inodes for millions of small files; nothing left to do in the background.
        _run("mkfs.ext4", "-q", "-F", "-i", "4096", "-E",
             "lazy_itable_init=1,lazy_journal_init=0", self.file)
        # Past the page cache of the file's own filesystem: one copy less.
        self.device = subprocess.run(
            ["losetup", "--find", "--show", "--direct-io=on", self.file], check=True,
            stdout=subprocess.PIPE, text=True).stdout.strip()
        _run("mount", "-o", "noinit_itable", self.device, self.mount)
        os.chmod(self.mount, 0o755)

    def close(self):
        subprocess.run(["umount", self.mount], check=False)
        subprocess.run(["losetup", "--detach", self.device], check=False)


class Lab:
    def __init__(self, build, work=None, image_gib=0):
        self.build = os.path.abspath(build)
        self.top = tempfile.mkdtemp(prefix="drover-bench.", dir=work)
        self.images = []
        self.dir = self.primary_dir = self.top
        if image_gib:
            # One each, as on two hosts: they share no journal.
            self.images = [Image(self.top, "replica", image_gib * 4 // 5),
                           Image(self.top, "primary", image_gib // 5)]
            self.dir, self.primary_dir = (i.mount for i in self.images)
        self.processes = []
        self.port = None
        self.peers = True

    def filesystem(self):
        """Where it is measured, in words for the report."""
        out = subprocess.run(["findmnt", "-n", "-o", "FSTYPE,OPTIONS", "-T", self.dir],
                             stdout=subprocess.PIPE, text=True, check=False).stdout
        words = " ".join(out.split()) or "an unknown filesystem"
        return words + (", new, in files, one for the primary and one for the replicas"
                        if self.images else "")

    # --- programs ----------------------------------------------------------

    def program(self, name):
        for sub in ("agent", "sync", "sync/replica", "store", "tests", "tests/e2e"):
            path = os.path.join(self.build, sub, name)
            if os.path.isfile(path):
                return path
        raise Failed(f"{name} was not built below {self.build}")

    def tool(self, *args, check=True):
        """Run bench_tool; its lines as dictionaries of numbers."""
        p = subprocess.run([self.program("bench_tool"), *map(str, args)],
                           stdout=subprocess.PIPE, text=True)
        if check and p.returncode != 0:
            raise Failed(f"bench_tool {args[0]} ended with {p.returncode}")
        return [dict((k, float(v)) for k, v in
                     (w.split("=", 1) for w in line.split()))
                for line in p.stdout.splitlines()]

    def spawn(self, argv, **kw):
        log = open(os.path.join(self.dir, "spawned.log"), "ab")
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                             stderr=log, start_new_session=True, **kw)
        log.close()
        self.processes.append(p)
        return p

    def end(self, p):
        """End a spawned process and everything it started."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(p.pid, sig)
            except ProcessLookupError:
                break
            try:
                p.wait(timeout=10)
                if sig == signal.SIGTERM:
                    continue
            except subprocess.TimeoutExpired:
                continue
        if p in self.processes:
            self.processes.remove(p)

    # --- ssh ---------------------------------------------------------------

    def start_sshd(self):
        lab = os.path.join(TOP, "tests", "integration", "ssh_lab.sh")
        # SHLVL: bash does not read ~/.bashrc, whose cost (some 0.1 s where it
        # sets up other tools) would be charged to each command of a peer.
        subprocess.run(["sh", lab, self.path("ssh"), "--option", "SetEnv SHLVL=2"],
                       check=True, stdout=subprocess.DEVNULL)
        with open(self.path("ssh/port"), encoding="ascii") as f:
            self.port = f.read().strip()
        with open(self.path("ssh/user"), encoding="ascii") as f:
            self.user = f.read().strip()
        with open(self.path("ssh/config"), "w", encoding="ascii") as f:
            f.write(f"Host lab\nHostName 127.0.0.1\nPort {self.port}\n"
                    f"User {self.user}\nIdentityFile {self.path('ssh/id_ed25519')}\n"
                    f"UserKnownHostsFile {self.path('ssh/known_hosts')}\n"
                    "IdentitiesOnly yes\nBatchMode yes\nLogLevel ERROR\n")

    def ssh(self, *options):
        """The client's command line, as a list."""
        return ["ssh", "-F", self.path("ssh/config"), *options]

    def open_master(self):
        """A shared connection, as a user sets it up who wants speed."""
        path = self.path("ssh/master")
        if not os.path.exists(path):
            subprocess.run(self.ssh("-o", f"ControlPath={path}", "-M", "-f", "-N",
                                    "lab"), check=True)
        return ["-o", f"ControlPath={path}"]

    # --- folders -----------------------------------------------------------

    def path(self, *names):
        primary = names[0].startswith(("source", "state"))
        return os.path.join(self.primary_dir if primary else self.dir, *names)

    def empty(self, name):
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        return path

    def copy_of(self, source, name):
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["cp", "-a", source, path], check=True)
        return path

    def settle(self):
        """What earlier runs left for the disk is not this run's work."""
        os.sync()
        time.sleep(0.5)

    def must_be_equal(self, a, b):
        p = subprocess.run([self.program("e2e_tree"), "diff", a, b],
                           stdout=subprocess.PIPE, text=True)
        if p.returncode != 0:
            raise Failed("the copy differs: " + p.stdout[:300])

    def close(self):
        for p in list(self.processes):
            self.end(p)
        if self.port is not None:
            subprocess.run(self.ssh("-o", f"ControlPath={self.path('ssh/master')}",
                                    "-O", "exit", "lab"),
                           stderr=subprocess.DEVNULL)
            lab = os.path.join(TOP, "tests", "integration", "ssh_lab.sh")
            subprocess.run(["sh", lab, self.path("ssh"), "stop"],
                           stdout=subprocess.DEVNULL)
        for image in self.images:
            image.close()
        shutil.rmtree(self.top, ignore_errors=True)
