# SPDX-License-Identifier: MIT
"""One primary, three replicas, and all programs between them.

    W/disk/primary     the primary, on a filesystem of its own (root only)
    W/disk/outside     beside it, for what is moved in and out
    W/r1disk/db        replica over ssh; a filesystem that can lose its power
    W/r2disk/db        replica over ssh through the proxy
    W/r3disk/db        replica over exec; a tmpfs that can be full

As a plain user all of them are ordinary directories, and faults that need more
say so.  Mounts are made in the mount namespace that ../run starts us in.
"""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from driver.journal import Journal

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WRITERS = 3
RECORDS = 2_000_000
NAMES = ("r1", "r2", "r3")
# Root may read what nobody may; Drover's programs here may not.
PLAIN_ROOT = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]


class Failure(Exception):
    """A promise was broken, or a program behaved as it may not."""


class World:
    def __init__(self, options, seed, directory):
        self.o = options
        self.seed = seed
        self.rng = random.Random(f"world {seed}")
        self.dir = directory
        self.start_time = time.monotonic()
        self.log_file = open(self.path("log"), "a", buffering=1)
        self.root = os.geteuid() == 0
        self.mounts = self.root and not options.no_mounts
        self.loops = []  # keeps the devices while nothing is mounted
        self.agent = None
        self.agent_expected = False
        self.restart_at = 0.0
        self.children = {}  # name: process
        self.primary = self.path("disk/primary")
        self.outside = self.path("disk/outside")
        self.sockets = self.path("control.sock")
        self.stats = {}

    # --- small things -----------------------------------------------------------

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def replica(self, name):
        return self.path(name + "disk", "db")

    def number(self, name):
        return NAMES.index(name)

    def log(self, text):
        line = f"{time.monotonic() - self.start_time:8.3f}  {text}"
        self.log_file.write(line + "\n")
        if not self.o.quiet:
            print(line, flush=True)

    def count(self, what, n=1):
        self.stats[what] = self.stats.get(what, 0) + n

    def wait_for(self, what, condition, seconds):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise Failure(f"after {seconds:.0f} s still not: {what}")
            time.sleep(0.02)

    def run(self, *command, check=True):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if check and done.returncode != 0:
            raise Failure(f"{' '.join(command)}: {done.returncode}: {done.stdout.strip()}")
        return done

    def spawn(self, name, command, **more):
        """A program of ours, its output to NAME.out and NAME.err."""
        with open(self.path(name + ".out"), "ab") as out, \
                open(self.path(name + ".err"), "ab") as err:
            self.children[name] = subprocess.Popen(
                command, stdin=more.pop("stdin", subprocess.DEVNULL),
                stdout=more.pop("stdout", out), stderr=err, **more)
        return self.children[name]

    # --- disks --------------------------------------------------------------------

    def make_disks(self):
        for name in ("disk", "r1disk", "r2disk", "r3disk"):
            os.mkdir(self.path(name))
        if self.mounts:
            # What shows when the disk is not there.
            os.mkdir(self.primary)
            self.devices = {"disk": self.make_disk("disk", 1500),
                            "r1disk": self.make_disk("r1disk", 600)}
            self.run("mount", "-t", "tmpfs", "-o", "size=500m,mode=755", "none",
                     self.path("r3disk"))
        os.makedirs(self.primary, exist_ok=True)
        os.makedirs(self.outside, exist_ok=True)

    def make_disk(self, name, mib):
        image = self.path(name + ".img")
        with open(image, "wb") as f:
            f.truncate(mib << 20)
        self.run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1", image)
        self.run("mount", "-o", "loop", image, self.path(name))
        with open("/proc/self/mounts", encoding="ascii") as f:
            device = [line.split()[0] for line in f if line.split()[1] == self.path(name)][-1]
        # The device goes when nobody has it open any more.
        self.loops.append(open(device, "rb"))
        return device

    # --- programs --------------------------------------------------------------------

    def replica_command(self, name, options):
        words = ["env", "ASAN_OPTIONS=" + os.environ.get("ASAN_OPTIONS", "detect_leaks=0")]
        if self.root:
            words += PLAIN_ROOT
        words += [self.o.replica, "receive", *options, self.replica(name)]
        return " ".join(words)

    def make_config(self):
        rng = self.rng
        self.rescan = rng.choice(("0", "0", "8s"))
        self.braked = rng.random() < 0.25 and self.o.break_kind is None
        # With a long one, each kind of trouble has to be told as what it is.
        self.lag_limit = random.Random(f"lag {self.seed}").choice((3, 3600))
        self.policies = {}
        common = {
            "name": "chaos", "path": self.primary, "state-dir": self.path("state"),
            "socket": self.sockets, "heartbeat": "200ms",
            "silence": f"{rng.choice((3, 5, 8)) * self.o.slow:.0f}s", "backoff-max": "1s",
            "lock-timeout": "300ms", "settle": "500ms", "rescan": self.rescan,
            # A brake that strikes all the time hides what happens without.
            "max-delete": "20%" if self.braked else "100%", "max-delete-keys": "30",
            "log-max-changes": rng.choice(("1000", "1000000")),
            "cache": rng.choice(("64K", "16M")),
            "lag-limit": f"{self.lag_limit * self.o.slow:.0f}s",
        }
        if self.o.break_kind == "health":
            # An agent that says nothing of what does not arrive.
            common.update({"lag-limit": "1h", "silence": "10m"})
        lines = ["[database]"] + [f"{k} = {v}" for k, v in common.items()]
        ssh = {} if not self.ssh else {
            "host": "127.0.0.1", "user": self.read("lab/user"),
            "identity": self.path("lab/id_ed25519"), "known-hosts": self.path("lab/known_hosts"),
            "connect-timeout": f"{3 * self.o.slow:.0f}s",
            "login-timeout": f"{5 * self.o.slow:.0f}s",
        }
        ports = {} if not self.ssh else {"r1": self.read("lab/port"), "r2": str(self.proxy_port)}
        for name in NAMES:
            options = ["--lock-timeout", rng.choice(("300ms", "2s")),
                       "--on-lock-timeout", rng.choice(("wait", "replace"))]
            self.policies[name] = options[-1]
            lines.append(f"[replica {name}]")
            if name in ports:
                lines += [f"{k} = {v}" for k, v in ssh.items()] + [f"port = {ports[name]}"]
            if name == "r2":
                small = rng.random() < 0.5
                lines += ["sndbuf = 8K", "rcvbuf = 8K"] if small and self.ssh else []
                lines.append("durability = " + rng.choice(("durable", "relaxed")))
            lines.append("command = " + self.replica_command(name, options))
        with open(self.path("agent.conf"), "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")

    def read(self, name):
        with open(self.path(name), encoding="utf-8", errors="replace") as f:
            return f.read().strip()

    def start_lab(self):
        done = subprocess.run(
            ["sh", os.path.join(HERE, "../integration/ssh_lab.sh"), self.path("lab"),
             # The account's own shell reads no start-up files of its owner's.
             "--option", "LoginGraceTime 20", "--option", f'SetEnv HOME="{self.dir}" SHLVL=2'],
            stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.ssh = done.returncode != 77
        if not self.ssh:
            self.log(f"all replicas over exec: {done.stderr.strip()}")
            return
        if done.returncode != 0:
            raise Failure("no sshd: " + done.stderr.strip())
        proxy = self.spawn("proxy", [sys.executable, "-m", "driver.proxy", self.read("lab/port")],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=HERE)
        self.proxy_port = int(proxy.stdout.readline())
        with open(self.path("lab/known_hosts"), encoding="ascii") as f:
            known = f.read()
        with open(self.path("lab/known_hosts"), "a", encoding="ascii") as f:
            f.write(known.replace(f"]:{self.read('lab/port')} ", f"]:{self.proxy_port} "))

    def lab(self, what):
        self.run("sh", os.path.join(HERE, "../integration/ssh_lab.sh"), self.path("lab"), what)

    def tell_proxy(self, *words):
        stdin = self.children["proxy"].stdin
        stdin.write((" ".join(str(w) for w in words) + "\n").encode())
        stdin.flush()

    def start_agent(self):
        self.restart_at = 0.0
        environment = dict(os.environ)
        if self.o.clock:
            environment["LD_PRELOAD"] = os.path.join(self.o.tools, "chaos_clock.so")
            environment["CHAOS_JOURNAL"] = self.path("journal")
        command = [self.o.drover, "agent", "--config", self.path("agent.conf")]
        with open(self.path("agent.log"), "ab") as log:
            self.agent = subprocess.Popen((PLAIN_ROOT if self.root else []) + command,
                                          stdin=subprocess.DEVNULL, stderr=log, env=environment)
        self.agent_expected = True
        self.agent_since = time.monotonic()

    def answers(self):
        self.check_programs()
        return self.agent_expected and self.status() is not None

    def kill_agent(self, sig):
        """Ends it; the exit status counts for SIGTERM."""
        if not self.agent_expected:
            self.restart_at = 0.0  # it gave up
            return
        self.agent_expected = False
        self.agent.send_signal(sig)
        try:
            code = self.agent.wait(60 * self.o.slow)
        except subprocess.TimeoutExpired as e:
            raise Failure("the agent does not end on SIGTERM") from e
        # It may not have come far enough to catch it.
        early = code == -sig and time.monotonic() - self.agent_since < 5 * self.o.slow
        if sig == signal.SIGTERM and code != 0 and not early:
            raise Failure(f"the agent ends with {code} on SIGTERM: {self.tail('agent.log')}")

    def check_programs(self):
        """What runs must run; an agent that gave up because its root is not there
        is started again, as systemd does."""
        code = self.agent.poll() if self.agent_expected else None
        if code is not None:
            self.log(f"the agent ended by itself with {code}: {self.tail('agent.log', 2)}")
            self.agent_expected = False
            # Without a root there is nothing to configure.
            usual = (1, 64) if not os.path.isdir(os.path.join(self.primary, ".drover")) \
                else (1, 64, 78)
            if code < 0 or code in usual or self.crashed():
                raise Failure(f"the agent ended with {code}: {self.tail('agent.log')}")
            self.count("agent gave up")
            self.restart_at = time.monotonic() + 0.5
        if self.restart_at and time.monotonic() >= self.restart_at:
            self.restart_at = 0.0
            self.start_agent()
        for name, p in self.children.items():
            if p.poll() is not None:
                raise Failure(f"{name} ended with {p.returncode}: {self.tail(name + '.err')}")
            if name.startswith("reader") and os.path.getsize(self.path(name + ".err")) > 0:
                time.sleep(0.5)  # it may have more to say
                raise Failure(self.read(name + ".err"))

    def crashed(self):
        text = self.read("agent.log")
        return re.search(r"(ERROR: \w+Sanitizer|runtime error:|Assertion .* failed)", text)

    def tail(self, name, lines=12):
        return "\n".join(self.read(name).splitlines()[-lines:])

    def start(self):
        self.make_disks()
        self.run(os.path.join(self.o.tools, "chaos_tool"), "journal", self.path("journal"),
                 str(RECORDS))
        self.journal = Journal(self.path("journal"))
        self.start_lab()
        self.make_config()
        self.run(self.o.drover, "init", self.primary)
        for name in NAMES:
            self.spawn(f"reader-{name}", [os.path.join(self.o.tools, "chaos_reader"),
                       self.path("journal"), self.replica(name), str(self.number(name))])
        self.start_agent()
        self.wait_for("the agent answers", self.answers, 60 * self.o.slow)
        self.silent = self.rescan != "0" and self.rng.random() < 0.5
        for i in range(WRITERS):
            self.spawn(f"writer-{i}", [os.path.join(self.o.tools, "chaos_writer"),
                       self.path("journal"), self.primary, self.outside, str(i), str(WRITERS),
                       str(self.seed), str(max(1, self.o.rate // WRITERS)),
                       str(self.o.big << 20), str(int(self.silent))])

    # --- asking ---------------------------------------------------------------------------

    def control(self, *words, timeout=30.0):
        """(exit status, stdout); 124 when it did not answer in time."""
        try:
            done = subprocess.run([self.o.drover, "--socket", self.sockets, *words],
                                  stdin=subprocess.DEVNULL, capture_output=True,
                                  timeout=timeout * self.o.slow)
        except subprocess.TimeoutExpired:
            return 124, ""
        if done.returncode < 0 or done.returncode > 1 and b"Sanitizer" in done.stderr:
            raise Failure(f"drover {' '.join(words)} crashed: {done.returncode} {done.stderr!r}")
        self.last_error = done.stderr.decode(errors="replace").strip()
        return done.returncode, done.stdout.decode(errors="replace")

    def status(self):
        code, out = self.control("status", "--json", timeout=10)
        try:
            return json.loads(out.splitlines()[-1]) if code in (0, 1) else None
        except (ValueError, IndexError):
            return None

    def receivers(self, name):
        """The live receivers of a replica."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/exe") != os.path.realpath(self.o.replica):
                    continue
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    if self.replica(name).encode() in f.read().split(b"\0"):
                        found.append(int(pid))
            except OSError:
                continue
        return found

    def sessions(self):
        """sshd's processes of single connections."""
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                    text = f.read()
            except OSError:
                continue
            name, rest = text[text.index("(") + 1:].rsplit(")", 1)
            parents[int(pid)] = (int(rest.split()[1]), name)
        try:
            above = {int(self.read("lab/sshd.pid"))}
        except (OSError, ValueError):
            return []
        found = []
        grown = True
        while grown:
            below = [p for p, (parent, name) in parents.items()
                     if parent in above and name.startswith("sshd") and p not in found]
            grown = bool(below)
            found += below
            above |= set(below)
        return found

    def keys(self, top):
        """Paths of keys below a database, in a fixed order."""
        found = []
        for directory, names, files in os.walk(os.fsencode(top)):
            names[:] = sorted(n for n in names if n != b".drover")
            found += [os.path.join(directory, f) for f in sorted(files) if f.endswith(b".kv")]
        return found

    # --- the end --------------------------------------------------------------------------

    def hold_reader(self, name):
        self.journal.hold(self.number(name), True)
        self.wait_for(f"the reader of {name} holds", lambda: self.journal.held(self.number(name)),
                      60 * self.o.slow)

    def release_reader(self, name):
        self.journal.hold(self.number(name), False)
        self.wait_for(f"the reader of {name} goes on",
                      lambda: not self.journal.held(self.number(name)), 60 * self.o.slow)

    def pause_writers(self, on):
        self.journal.pause(on)
        self.wait_for("the writers stand still" if on else "the writers go on",
                      lambda: all(self.journal.paused(i) == on for i in range(WRITERS)),
                      60 * self.o.slow)

    def end_programs(self):
        """End all in peace and take the figures of readers and writers."""
        self.journal.stop()
        for name, p in self.children.items():
            if name.startswith(("writer", "reader")):
                code = p.wait(60 * self.o.slow)
                for k, v in re.findall(r"(\w+)=(\d+)", self.read(name + ".out")):
                    self.count(f"{name.split('-')[0]} {k}", int(v))
                if code != 0:
                    raise Failure(f"{name} ends with {code}: {self.tail(name + '.err')}")
        self.kill_agent(signal.SIGTERM)
        for name in NAMES:
            self.wait_for(f"no receiver of {name} is left", lambda n=name: not self.receivers(n),
                          60 * self.o.slow)
            left = [f for _, _, files in os.walk(self.replica(name)) for f in files
                    if re.fullmatch(r"\.drover-tmp\.[0-9a-f]{16}", f)]
            if left:
                raise Failure(f"{name}: staged values are left: {left[:5]}")
        if self.crashed():
            raise Failure("a sanitizer's report is in agent.log")

    def keep_evidence(self):
        """What cannot be looked up when our mounts are gone."""
        for name in NAMES:
            done = self.run(os.path.join(self.o.e2e, "e2e_tree"), "diff", self.primary,
                            self.replica(name), check=False)
            with open(self.path(f"difference-{name}"), "w", encoding="utf-8") as f:
                f.write(done.stdout)
                f.write(self.run("stat", os.path.join(self.replica(name), ".drover/freshness"),
                                 check=False).stdout)
        with open(self.path("status"), "w", encoding="utf-8") as f:
            json.dump(self.status() if self.agent else None, f, indent=1)

    def clean(self):
        """Leave no process; mounts go with our namespace."""
        for p in [self.agent, *self.children.values()]:
            if p is not None and p.poll() is None:
                p.kill()
                p.wait()
        if os.path.isdir(self.path("lab")):
            self.run("sh", os.path.join(HERE, "../integration/ssh_lab.sh"), self.path("lab"),
                     "stop", check=False)
        for name in NAMES:
            for pid in self.receivers(name):
                os.kill(pid, signal.SIGKILL)
        for loop in self.loops:
            loop.close()

    def empty(self, directory):
        shutil.rmtree(directory, ignore_errors=True)
