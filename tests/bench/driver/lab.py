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


class Lab:
    def __init__(self, build, work=None):
        self.build = os.path.abspath(build)
        self.dir = tempfile.mkdtemp(prefix="drover-bench.", dir=work)
        self.processes = []
        self.port = None

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
        subprocess.run(["sh", lab, self.path("ssh")], check=True,
                       stdout=subprocess.DEVNULL)
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
        return os.path.join(self.dir, *names)

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
        shutil.rmtree(self.dir, ignore_errors=True)
