# SPDX-License-Identifier: MIT
"""Rows: one per single figure, and what is made of them."""

import csv
import statistics

FIELDS = ["job", "who", "durability", "figure", "value", "unit", "run"]


class Rows:
    def __init__(self, path):
        self.all = []
        self.file = open(path, "w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, FIELDS)
        self.writer.writeheader()

    def add(self, job, who, durability, figure, value, unit, run):
        row = dict(zip(FIELDS, (job, who, durability, figure, value, unit, run)))
        self.all.append(row)
        self.writer.writerow(row)
        self.file.flush()
        print(f"{job:24} {who:28} {figure:22} {value:12.4g} {unit}", flush=True)

    def jobs(self):
        return list(dict.fromkeys(r["job"] for r in self.all))

    def groups(self, job):
        """(who, durability, figure, unit) -> values, in order of appearance."""
        out = {}
        for r in self.all:
            if r["job"] == job:
                key = (r["who"], r["durability"], r["figure"], r["unit"])
                out.setdefault(key, []).append(r["value"])
        return out

    def close(self):
        self.file.close()


def median(values):
    return statistics.median(values)


def percentile(values, p):
    s = sorted(values)
    return s[min(len(s) - 1, int(len(s) * p / 100))]
