# SPDX-License-Identifier: MIT
"""The storm: faults strike one after another, several at a time, while writers
write and readers check.  Meanwhile somebody keeps asking the agent what it
claims, for the readers to hold it to."""
import datetime
import random
import threading
import time

from driver.faults import FAULTS
from driver.world import NAMES


class Claims(threading.Thread):
    """Notes what `drover wait` and `drover status` claim."""

    def __init__(self, world):
        super().__init__(daemon=True)
        self.w = world
        self.ended = threading.Event()
        self.asked = self.kept = 0

    def run(self):
        while not self.ended.wait(0.3):
            name = NAMES[self.asked % len(NAMES)]
            self.asked += 1
            before = self.w.journal.now_ns()
            code, _ = self.w.control("wait", name, "--timeout", "2s", timeout=4)
            if code == 0:
                self.kept += 1
                self.w.journal.claim(self.w.number(name), before)
            self.note_status()

    def note_status(self):
        status = self.w.status()
        for replica in status["replicas"] if status else ():
            text = replica["equal_as_of"]
            if text is not None:
                when = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
                self.w.journal.claim(self.w.number(replica["name"]),
                                     int(when.timestamp() * 1000) * 1_000_000)

    def end(self):
        self.ended.set()
        self.join()
        self.w.count("claims of wait", self.kept)


class Storm:
    def __init__(self, world, seed, kinds):
        self.w, self.seed = world, seed
        self.rng = random.Random(f"storm {seed}")
        self.kinds = [FAULTS[k] for k in kinds]
        self.there = []  # (end, number, fault, lift)

    def plan(self, seconds):
        """(when, fault), all of it chosen before anything happens."""
        pace = self.rng.choice((0.3, 0.8, 2.0))
        at, plan = 1.0, []
        while self.kinds and at < seconds:
            plan.append((at, self.rng.choices(self.kinds, [f.weight for f in self.kinds])[0]))
            at += self.rng.expovariate(1 / pace)
        return plan

    def strike(self, number, fault):
        if any(f.touches & fault.touches for _, _, f, _ in self.there):
            return  # another one is still there
        rng = random.Random(f"fault {self.seed} {number}")
        what, seconds, lift = fault.strike(self.w, rng)
        self.w.log(f"fault {number} {fault.name}: {what}"
                   + (f", for {seconds:.1f} s" if lift else ""))
        self.w.count("fault " + fault.name)
        if lift:
            self.there.append((time.monotonic() + seconds, number, fault, lift))

    def lift(self, everything=False):
        now = time.monotonic()
        for entry in sorted(self.there, key=lambda e: e[0]):
            end, number, fault, lift = entry
            if everything or end <= now:
                self.there.remove(entry)
                lift()
                self.w.log(f"lifted {number} {fault.name}")

    def run(self, seconds):
        """All are lifted when it returns, and when it fails."""
        begun = time.monotonic()
        plan = self.plan(seconds)
        number = 0
        try:
            while time.monotonic() < begun + seconds:
                self.lift()
                if number < len(plan) and time.monotonic() >= begun + plan[number][0]:
                    self.strike(number + 1, plan[number][1])
                    number += 1
                self.w.check_programs()
                time.sleep(0.02)
        finally:
            self.lift(everything=True)
