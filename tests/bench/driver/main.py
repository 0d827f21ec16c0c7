# SPDX-License-Identifier: MIT
"""Run jobs and write the report; see run.sh."""

import argparse
import os
import resource
import shlex
import shutil
import signal
import sys
import tempfile
import types

import jobs_copy
import jobs_live
import report
from lab import Failed, Lab
from rows import Rows

JOBS = {
    "limits": jobs_live.limits,
    "latency": jobs_live.latency,
    "latency-busy": jobs_live.latency_busy,
    "sustained": jobs_live.sustained,
    "first-copy": jobs_copy.first_copy,
    "first-copy-large": jobs_copy.first_copy_large,
    "unchanged": jobs_copy.unchanged,
    "some-changed": jobs_copy.some_changed,
    "fan-out": jobs_copy.fan_out,
    "idle": jobs_live.idle,
    "kv": jobs_live.kv,
    "growth": jobs_copy.growth,
}


def arguments():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh")
    p.add_argument("jobs", nargs="*", metavar="JOB")
    p.add_argument("--list", action="store_true")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--runs", type=int, default=0)
    p.add_argument("--scale", type=float, default=1.0, metavar="PART",
                   help="so much of the keys in the jobs with a million (0.1)")
    p.add_argument("--no-peers", action="store_true", help="only Drover's side")
    p.add_argument("--out", default=os.path.join("build", "bench", "report"))
    p.add_argument("--work", help="folder on the filesystem to measure; without it "
                   "root measures on a new ext4 of --image GIB in a file below TMPDIR")
    p.add_argument("--image", type=int, metavar="GIB", default=None)
    p.add_argument("--build", required=True, help=argparse.SUPPRESS)
    a = p.parse_args()
    for name in a.jobs:
        if name not in JOBS:
            p.error(f"no job {name}; there are: {' '.join(JOBS)}")
    return a


def run_jobs(ctx, names):
    failures = []
    for name in names:
        print(f"== {name}: {JOBS[name].__doc__}", flush=True)
        try:
            JOBS[name](ctx)
        except Failed as e:
            print(f"FAILED {name}: {e}", flush=True)
            failures.append((name, str(e)))
        for p in list(ctx.lab.processes):
            ctx.lab.end(p)
    return failures


def main():
    a = arguments()
    if a.list:
        for name, job in JOBS.items():
            print(f"{name:18} {job.__doc__}")
        return 0
    # bench_tool keeps all tables open, of both ends.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.makedirs(a.out, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if a.image is None:
        free = shutil.disk_usage(tempfile.gettempdir()).free >> 30
        a.image = min(60, free - 8) if a.work is None and os.geteuid() == 0 else 0
    lab = Lab(a.build, a.work, a.image)
    lab.peers = not a.no_peers
    rows = Rows(os.path.join(a.out, "rows.csv"))
    ctx = types.SimpleNamespace(lab=lab, rows=rows, quick=a.quick, samples={}, curves={},
                                million=20000 if a.quick else int(1000000 * a.scale),
                                runs=a.runs or (1 if a.quick else 5))
    filesystem = lab.filesystem()
    try:
        lab.start_sshd()
        failures = run_jobs(ctx, a.jobs or list(JOBS))
    finally:
        lab.close()
        rows.close()
    words = [w for w in sys.argv[1:] if w not in ("--build", a.build)]
    command = "sh tests/bench/run.sh " + shlex.join(words)
    report.write(a.out, rows, ctx, command.strip(), filesystem, failures)
    print(f"report: {os.path.join(a.out, 'report.md')}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
