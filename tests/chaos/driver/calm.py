# SPDX-License-Identifier: MIT
"""The calm after a storm: writers stand still, and all has to be equal: by
`drover wait`, by our own comparison of the trees, and by `verify --content`,
which must find what we plant and nothing else."""
import base64
import json
import os
import re
import time

from driver import health
from driver.world import NAMES, Failure


def unescape(text):
    return re.sub(rb"\\([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), text)


class Calm:
    def __init__(self, world, rng):
        self.w, self.rng = world, rng

    # --- equal ---------------------------------------------------------------------

    def settle(self):
        """Until `wait` says that all is there; approves what the brake holds."""
        seconds = self.w.o.patience * self.w.o.slow
        begun = time.monotonic()
        end = begun + seconds
        while True:
            self.w.check_programs()
            if not self.w.agent_expected:
                time.sleep(0.1)
                continue
            health.check(self.w, self.differences, begun)
            status = self.w.status()
            for replica in status["replicas"] if status else ():
                if replica["held_deletes"] > 0:
                    self.w.log(f"approve {replica['name']}: {replica['held_deletes']} deletes")
                    self.w.count("approved")
                    self.w.control("approve", replica["name"])
            before = self.w.journal.now_ns()
            code, _ = self.w.control("wait", "--timeout", "5s", timeout=20)
            if code == 0:
                for name in NAMES:
                    self.w.journal.claim(self.w.number(name), before)
                return
            if time.monotonic() > end:
                self.w.control("status", "-v")
                status = json.dumps(self.w.status(), indent=1)
                raise Failure(f"P3: not all is there {seconds:.0f} s after the last fault "
                              f"(load {os.getloadavg()[0]:.1f}):\n{self.w.last_error}\n{status}")

    def differences(self, name):
        """Our own comparison: a set of (kind, is_table, table, key)."""
        done = self.w.run(os.path.join(self.w.o.e2e, "e2e_tree"), "diff", self.w.primary,
                          self.w.replica(name), check=False)
        if done.returncode not in (0, 1):
            raise Failure(f"e2e_tree: {done.stdout}")
        sides = {"<": set(), ">": set()}
        for line in done.stdout.encode().splitlines():
            side, kind, path = line.split(b" ")[:3]
            path = unescape(path)[1:]
            table, _, file = path.rpartition(b"/")
            if kind == b"t":
                entry = (True, path[:-4], b"")
            else:
                entry = (False, table[:-4], file[:-3])
            sides[side.decode()].add(entry)
        return {("different",) + e for e in sides["<"] & sides[">"]} \
            | {("missing",) + e for e in sides["<"] - sides[">"]} \
            | {("extra",) + e for e in sides[">"] - sides["<"]}

    def must_be_equal(self, when):
        for name in NAMES:
            found = self.differences(name)
            if found:
                raise Failure(f"{name} differs {when}: {len(found)} names:\n"
                              + "\n".join(map(repr, sorted(found)[:10])))

    # --- verify ----------------------------------------------------------------------

    def verify(self):
        """(exit status, names per replica)."""
        for _ in range(20):
            code, out = self.w.control("verify", "--content", "--json", "-v", timeout=120)
            if code in (0, 1):
                break
            time.sleep(0.5)  # a link may just be coming up
        else:
            raise Failure(f"verify ends with {code}: {self.w.last_error}")
        result = json.loads(out.splitlines()[-1])
        self.counts = [{k: v for k, v in r.items() if k != "names"} for r in result["replicas"]]
        names = {}
        for replica in result["replicas"]:
            if replica["error"] is not None or not replica["done"]:
                raise Failure(f"verify of {replica['name']}: {replica}")
            names[replica["name"]] = {
                (n["kind"], n["is_table"], self.name(n, "table"), self.name(n, "key"))
                for n in replica["names"]}
        return code, names

    @staticmethod
    def name(entry, field):
        if field in entry and entry[field] is not None:
            return entry[field].encode()
        return base64.b64decode(entry.get(field + "_b64") or "")

    def must_verify(self):
        code, names = self.verify()
        if code != 0 or any(names.values()):
            raise Failure(f"the trees are equal, but verify ends with {code}: {names}")

    def plant(self):
        """verify --content must report what differs, and resync repair it."""
        planted = {name: set() for name in NAMES}
        for name in self.rng.sample(NAMES, self.rng.randint(1, 3)):
            self.w.run(os.path.join(self.w.o.tools, "chaos_edit"), self.w.path("journal"),
                       self.w.replica(name), str(self.w.number(name)),
                       str(self.rng.randrange(1 << 30)), "plant", str(self.rng.randint(1, 20)))
            planted[name] = self.differences(name)
        n = sum(map(len, planted.values()))
        code, names = self.verify()
        for name in NAMES:
            if names[name] != planted[name]:
                raise Failure(
                    f"verify and our comparison of {name} differ: only verify: "
                    f"{sorted(names[name] - planted[name])[:5]}; only ours: "
                    f"{sorted(planted[name] - names[name])[:5]}; verify's counts: {self.counts}")
        if code != (1 if n else 0):
            raise Failure(f"verify ends with {code} where {n} names differ")
        self.w.count("planted", n)
        return n

    def repair(self):
        for _ in range(10):
            code, out = self.w.control("resync", timeout=120)
            if code == 0:
                break
            status = self.w.status()
            for replica in status["replicas"] if status else ():
                if replica["held_deletes"] > 0:
                    self.w.control("approve", replica["name"])
            time.sleep(0.3)
        else:
            raise Failure(f"resync ends with {code}: {out} {self.w.last_error}")

    # --- all of it -----------------------------------------------------------------------

    def run(self):
        # A clock that lags behind the files' times makes empty values doubtful.
        self.w.journal.step_clock(0)
        self.w.pause_writers(True)
        begun = time.monotonic()
        self.settle()
        took = time.monotonic() - begun
        if self.w.edited or self.w.silent:
            # Nothing tells of these but a look at the disk.
            self.repair()
            self.settle()
        if self.w.o.break_kind == "different":
            self.w.empty(os.path.join(self.w.replica("r1"), "users.tbl"))
        self.must_be_equal("after wait")
        self.must_verify()
        planted = self.plant() if self.rng.random() < 0.6 else 0
        if planted:
            self.repair()
            self.settle()
            self.must_be_equal("after the repair of what was planted")
        self.w.edited.clear()
        self.w.check_programs()
        self.w.count("calms")
        self.w.log(f"equal after {took:.1f} s; planted, found and repaired: {planted}")
        self.w.pause_writers(False)
