# SPDX-License-Identifier: MIT
"""Jobs with changes that are followed as they come, and local access."""

import os
import time

import peers
from drover import Drover
from lab import Failed, Measure, busy_seconds, wait_until
from rows import percentile

DATA = [1, 10, 64, 4096]
# These take a good part of a second, or two, for each change: measured in the
# first run only, and with a tenth of the samples.
SLOW = ("Syncthing", "lsyncd, delay 0")


def _pair(ctx, keys):
    source = ctx.lab.empty("source")
    ctx.lab.tool("fill", source, keys, *DATA)
    return source, ctx.lab.copy_of(source, "target")


def _follow(ctx, who, source, target):
    """Start what is measured; returns (object to stop, durability)."""
    lab = ctx.lab
    if who.startswith("drover"):
        durability = "relaxed" if "relaxed" in who else "durable"
        target = lab.empty("target")
        d = Drover(lab, source, {"r1": target}, durability=durability).start()
        d.wait()
        return d, durability
    follower = peers.followers(lab)[who](source, target)
    durability = follower.durability
    follower.start()
    peers.wait_follows(lab, DATA, source, target)
    return follower, durability


def _samples(ctx, job, who, durability, source, target, keys, count, run):
    with Measure() as m:
        took = [r["us"] for r in ctx.lab.tool("latency", source, target, count, 20000,
                                              keys, *DATA)]
    missed = sum(1 for t in took if t < 0)
    took = [t for t in took if t >= 0] or [float("nan")]
    for p in (50, 90, 99):
        ctx.rows.add(job, who, durability, f"p{p}", percentile(took, p) / 1000, "ms", run)
    ctx.rows.add(job, who, durability, "longest", max(took) / 1000, "ms", run)
    if missed:
        ctx.rows.add(job, who, durability, "missed in 5 s", missed, "changes", run)
    ctx.samples.setdefault((job, who), []).extend(t / 1000 for t in took)
    return m


def latency(ctx):
    """One key set until it is readable on the replica."""
    keys, count = (1000, 100) if ctx.quick else (10000, 300)
    job = f"latency, one of {keys} keys"
    for run in range(ctx.runs):
        for who in ("drover", "drover, relaxed", *peers.followers(ctx.lab)):
            if run > 0 and who in SLOW:
                continue
            samples = count // 10 if who in SLOW else count
            source, target = _pair(ctx, keys)
            f, durability = _follow(ctx, who, source, target)
            idle = _idle_cpu(1.0)
            m = _samples(ctx, job, who, durability, source, target, keys, samples, run)
            if m.cpu > idle * m.wall: # else its own work is more than the changes'
                ctx.rows.add(job, who, durability, "CPU per change",
                             (m.cpu - idle * m.wall) * 1000 / samples, "ms", run)
            f.stop()


def _idle_cpu(seconds):
    before = busy_seconds()
    time.sleep(seconds) # the span that is measured
    return (busy_seconds() - before) / seconds


def latency_busy(ctx):
    """The same while 2,000 other changes a second flow."""
    keys, count = (1000, 100) if ctx.quick else (10000, 300)
    job = "latency beside 2000 changes/s"
    for run in range(ctx.runs):
        for who in ("drover", "drover, relaxed"):
            source, target = _pair(ctx, keys)
            f, durability = _follow(ctx, who, source, target)
            seconds = count * 0.05 + 5
            noise = ctx.lab.spawn([ctx.lab.program("bench_tool"), "churn", source, target,
                                   str(keys), str(int(2000 * seconds)), "2000",
                                   *map(str, [7, 4, 64, 4096])])
            before = f.status()["replicas"][0]["acked_changes"]
            wait_until("the other changes flow", lambda: f.status()["replicas"][0][
                "acked_changes"] >= before + 1000, every=0.1)
            _samples(ctx, job, who, durability, source, target, keys, count, run)
            ctx.lab.end(noise)
            f.stop()


def sustained(ctx):
    """Changes as fast as they come, then how long until the replica has all."""
    count = 2000 if ctx.quick else 20000
    for keys in (count // 20, count):
        for rate in (8000, 0):
            name = f"{rate}/s" if rate else "as fast as they come"
            job = f"{count} changes over {keys} keys, {name}"
            for run in range(ctx.runs):
                for who in ("drover", "inotifywait + rsync, mux", "lsyncd, delay 0, mux",
                            "Syncthing"):
                    if not who.startswith("drover") and (
                            run > 0 or rate or not ctx.lab.peers):
                        continue
                    _sustained(ctx, job, who, keys, count, rate, run)


def _sustained(ctx, job, who, keys, count, rate, run):
    source, target = _pair(ctx, keys)
    f, durability = _follow(ctx, who, source, target)
    with Measure() as m:
        r = ctx.lab.tool("churn", source, target, keys, count, rate, *DATA, check=False)[0]
    ctx.rows.add(job, who, durability, "rate of the writer", r["rate"], "changes/s", run)
    lag = r["lag_s"]
    if lag < 0:
        ctx.rows.add(job, who, durability, "not equal after", 90, "s", run)
    else:
        ctx.rows.add(job, who, durability, "equal after", lag, "s", run)
        ctx.rows.add(job, who, durability, "CPU per change", m.cpu * 1000 / count, "ms", run)
    f.stop()
    if lag >= 0:
        ctx.lab.must_be_equal(source, target)


def idle(ctx):
    """Nothing happens; ten replicas are connected."""
    keys = ctx.million
    lab = ctx.lab
    source = lab.empty("source")
    lab.tool("fill", source, keys, *[1, 10, 100, 300])
    d = Drover(lab, source, {f"r{i}": lab.empty(f"target{i}") for i in range(10)},
               link="exec").start()
    d.wait()
    wait_until("all are streaming", lambda: all(
        r["state"] == "streaming" for r in d.status()["replicas"]))
    pids = d.pids()

    def cpu_of(pid):
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            n = f.read().rsplit(")", 1)[1].split()
        return (int(n[11]) + int(n[12])) / os.sysconf("SC_CLK_TCK")

    before = {p: cpu_of(p) for some in pids.values() for p in some}
    seconds = 10 if ctx.quick else 60
    time.sleep(seconds) # the span that is measured
    for side, some in pids.items():
        used = sum(cpu_of(p) - before[p] for p in some)
        ctx.rows.add(f"idle, {keys} keys, 10 replicas", "drover", "durable",
                     f"CPU, {side}, all", used * 100 / seconds, "%", 0)
    for side, mib in d.peaks_mib().items():
        ctx.rows.add(f"idle, {keys} keys, 10 replicas", "drover", "durable",
                     f"peak RSS, {side}", mib, "MiB", 0)
    d.stop()


def kv(ctx):
    """Local gets and sets beside the bare system calls."""
    keys = 10000
    source = ctx.lab.empty("source")
    ctx.lab.tool("fill", source, keys, *DATA)
    seconds = 0.5 if ctx.quick else 2
    for run in range(ctx.runs):
        for threads in (1, 2, 4, 16):
            for verb in ("read", "write"):
                for how in ("raw", "drover"):
                    r = ctx.lab.tool(verb, source, keys, how, threads, seconds, *DATA)[0]
                    who = "libdrover" if how == "drover" else "system calls"
                    ctx.rows.add("local gets and sets", who, "-",
                                 f"{verb}, {threads} threads", r["ops_per_s"], "1/s", run)


def limits(ctx):
    """What the machine can do."""
    for run in range(ctx.runs):
        for row in ctx.lab.tool("limits", ctx.lab.empty("limits")):
            for name, value in row.items():
                ctx.rows.add("limits", "system calls", "-", name.replace("_per_s", ""),
                             value, "1/s", run)


__all__ = ["latency", "latency_busy", "sustained", "idle", "kv", "limits", "Failed"]
