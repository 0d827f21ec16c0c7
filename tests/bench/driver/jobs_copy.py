# SPDX-License-Identifier: MIT
"""Jobs that bring a replica up: first copies, restarts, differences."""

import os
import shlex
import subprocess

import peers
from drover import Drover
from lab import Measure


def _data(seed, tables=10, smallest=64, largest=4096):
    return [seed, tables, smallest, largest]


def _drover_copy(ctx, job, source, run, link="ssh", who="drover"):
    lab = ctx.lab
    target = lab.empty("target")
    lab.settle()
    d = Drover(lab, source, {"r1": target}, link=link)
    with Measure() as m:
        d.start()
        d.wait()
    for side, mib in d.peaks_mib().items():
        ctx.rows.add(job, who, "durable", f"peak RSS, {side}", mib, "MiB", run)
    ctx.rows.add(job, who, "durable", "time", m.wall, "s", run)
    ctx.rows.add(job, who, "durable", "CPU", m.cpu, "s", run)
    d.stop()
    lab.must_be_equal(source, target)


def _peer_copy(ctx, job, who, durability, copy, source, run):
    lab = ctx.lab
    target = lab.empty("target")
    lab.settle()
    with Measure() as m:
        copy(source, target)
    ctx.rows.add(job, who, durability, "time", m.wall, "s", run)
    ctx.rows.add(job, who, durability, "CPU", m.cpu, "s", run)
    lab.must_be_equal(source, target)


def _copies(ctx, job, source, names, slow=(), links=(("ssh", "drover"),),
            limits=None):
    """All of them in turn, run by run; the slow ones only in the first runs."""
    copiers = peers.copiers(ctx.lab)
    for run in range(ctx.runs):
        if limits is not None:
            limits(ctx, job, source, run)
        for link, who in links:
            _drover_copy(ctx, job, source, run, link, who)
        for who in names:
            if who in slow and run >= max(1, ctx.runs // 3):
                continue
            durability, copy = copiers[who]
            _peer_copy(ctx, job, who, durability, copy, source, run)


def first_copy(ctx):
    """First copy of small keys to an empty replica."""
    keys = 10000 if ctx.quick else 100000
    source = ctx.lab.empty("source")
    ctx.lab.tool("fill", source, keys, *_data(1))
    _copies(ctx, f"first copy, {keys} keys", source, list(peers.copiers(ctx.lab)),
            slow=("rsync -a --fsync",))


def _bulk_limits(ctx, job, source, run):
    """The same bytes by the bare transports: libssh2 to cat, dd through ssh."""
    lab = ctx.lab
    files = sorted(os.path.join(source, "t0.tbl", f)
                   for f in os.listdir(os.path.join(source, "t0.tbl")))
    if len(files) > 1:
        return
    out = os.path.join(lab.empty("bulk"), "out")
    lab.settle()
    took = lab.tool("ssh-bulk", lab.port, lab.user, lab.path("ssh/id_ed25519"),
                    files[0], f"cat >{out}")[0]["seconds"]
    ctx.rows.add(job, "libssh2 alone, to cat", "none", "time", took, "s", run)
    lab.empty("bulk")
    lab.settle()
    with Measure() as m:
        subprocess.run(["sh", "-c", f"dd if={files[0]} bs=128k status=none | " + shlex.join(
            lab.ssh("-c", "aes128-gcm@openssh.com", "lab", f"cat >{out}"))], check=True)
    ctx.rows.add(job, "dd | ssh cat, aes-gcm", "none", "time", m.wall, "s", run)
    lab.empty("bulk")


def first_copy_large(ctx):
    """First copy of one large value, and of some."""
    for count, mib in ((1, 64 if ctx.quick else 1024), (8 if ctx.quick else 64, 16)):
        source = ctx.lab.empty("source")
        ctx.lab.tool("large", source, count, mib << 20, *_data(1, 1))
        _copies(ctx, f"first copy, {count} x {mib} MiB", source,
                [w for w in peers.copiers(ctx.lab) if w in ("rsync -a", "tar | ssh tar")],
                links=(("ssh", "drover"), ("openssh", "drover, OpenSSH aes-gcm")),
                limits=_bulk_limits)


def unchanged(ctx):
    """Both ends have everything; the agent starts again."""
    keys = ctx.million
    job = f"nothing changed, {keys} keys"
    lab = ctx.lab
    source, target = lab.empty("source"), lab.empty("target")
    lab.tool("fill", source, keys, *_data(1, 10, 100, 300))
    d = Drover(lab, source, {"r1": target}).start()
    d.wait()
    d.stop()
    peer_target = lab.copy_of(source, "peer-target")
    for run in range(ctx.runs):
        lab.settle()
        scan = lab.tool("scan", source, *_data(1))[0]["seconds"]
        ctx.rows.add(job, "readdir + stat, one side", "-", "time", scan, "s", run)
        d = Drover(lab, source, {"r1": target}, keep_state=True)
        with Measure() as m:
            d.start()
            d.wait()
        replica = d.status()["replicas"][0]
        ctx.rows.add(job, "drover, restart", "durable", "time", m.wall, "s", run)
        ctx.rows.add(job, "drover, restart", "durable", "CPU", m.cpu, "s", run)
        ctx.rows.add(job, "drover, restart", "durable", "on the wire",
                     (replica["sent_bytes"] + replica["received_bytes"]) / 1e6, "MB", run)
        for side, mib in d.peaks_mib().items():
            ctx.rows.add(job, "drover, restart", "durable", f"peak RSS, {side}", mib,
                         "MiB", run)
        _verify(ctx, job, d, run)
        d.stop()
        if not lab.peers:
            continue
        with Measure() as m:
            peers.rsync(lab, source, peer_target)
        ctx.rows.add(job, "rsync -a", "none", "time", m.wall, "s", run)
        with Measure() as m:
            peers.rsync(lab, source, peer_target, "--checksum")
        ctx.rows.add(job, "rsync -a --checksum", "none", "time", m.wall, "s", run)
    lab.must_be_equal(source, target)


def _verify(ctx, job, d, run):
    for who, args in (("drover verify --recorded", ("--recorded",)), ("drover verify", ()),
                      ("drover verify --content", ("--content",))):
        with Measure() as m:
            d.ctl("verify", *args)
        ctx.rows.add(job, who, "durable", "time", m.wall, "s", run)


def some_changed(ctx):
    """100 of 100,000 keys were changed while the two were apart."""
    keys, count = (10000, 100) if ctx.quick else (100000, 100)
    job = f"{count} of {keys} keys changed while apart"
    lab = ctx.lab
    source, target = lab.empty("source"), lab.empty("target")
    lab.tool("fill", source, keys, *_data(1))
    d = Drover(lab, source, {"r1": target}).start()
    d.wait()
    d.stop()
    peer_target = lab.copy_of(source, "peer-target")
    for run in range(ctx.runs):
        lab.tool("change", source, keys, count, *_data(1))
        lab.settle()
        d = Drover(lab, source, {"r1": target}, keep_state=True)
        with Measure() as m:
            d.start()
            d.wait()
        ctx.rows.add(job, "drover, restart", "durable", "time", m.wall, "s", run)
        ctx.rows.add(job, "drover, restart", "durable", "CPU", m.cpu, "s", run)
        d.stop()
        lab.must_be_equal(source, target)
        if not lab.peers:
            continue
        with Measure() as m:
            peers.rsync(lab, source, peer_target)
        ctx.rows.add(job, "rsync -a", "none", "time", m.wall, "s", run)
        ctx.rows.add(job, "rsync -a", "none", "CPU", m.cpu, "s", run)
        lab.must_be_equal(source, peer_target)


def fan_out(ctx):
    """Ten replicas; a tenth of the keys changes while they are apart."""
    keys, count = ctx.million, ctx.million // 10
    job = f"fan-out: 10 replicas, {count} of {keys} keys changed"
    lab = ctx.lab
    source = lab.empty("source")
    lab.tool("fill", source, keys, *_data(1, 10, 100, 300))
    for n in (1, 3, 10):
        targets = {f"r{i}": lab.empty(f"target{i}") for i in range(n)}
        d = Drover(lab, source, targets, link="exec").start()
        d.wait()
        d.stop()
        for run in range(min(ctx.runs, 3)):
            lab.tool("change", source, keys, count, *_data(1, 10, 100, 300))
            lab.settle()
            d = Drover(lab, source, targets, link="exec", keep_state=True)
            with Measure() as m:
                d.start()
                d.wait()
            ctx.rows.add(job, f"drover, {n} replicas", "durable", "time", m.wall, "s", run)
            ctx.rows.add(job, f"drover, {n} replicas", "durable", "CPU", m.cpu, "s", run)
            ctx.curves.setdefault((job, "time, s", "replicas"), []).append((n, m.wall))
            d.stop()
            for t in targets.values():
                lab.must_be_equal(source, t)


def growth(ctx):
    """Cost per key and per change against the number of keys and tables."""
    most = ctx.million
    for keys in (most // 100, most // 10, most):
        for run in range(min(ctx.runs, 3)):
            _grow_keys(ctx, keys, run)
    for tables in (1, 100, 1000 if ctx.quick else 9000):
        for run in range(min(ctx.runs, 3)):
            _grow_tables(ctx, tables, run)


def _grow_keys(ctx, keys, run):
    lab, job = ctx.lab, "growth with the number of keys"
    source, target = lab.empty("source"), lab.empty("target")
    lab.tool("fill", source, keys, *_data(1, 10, 100, 300))
    lab.settle()
    d = Drover(lab, source, {"r1": target})
    with Measure() as m:
        d.start()
        d.wait()
    per_key = m.wall * 1e6 / keys
    ctx.rows.add(job, f"{keys} keys", "durable", "first copy, per key", per_key, "us", run)
    ctx.curves.setdefault((job, "first copy, us per key", "keys"), []).append((keys, per_key))
    for side, mib in d.peaks_mib().items():
        ctx.rows.add(job, f"{keys} keys", "durable", f"peak RSS, {side}", mib, "MiB", run)
    d.stop()


def _grow_tables(ctx, tables, run):
    lab, job, keys, count = ctx.lab, "growth with the number of tables", 20000, 20000
    data = _data(1, tables, 100, 300)
    source, target = lab.empty("source"), lab.empty("target")
    lab.tool("fill", source, keys, *data)
    d = Drover(lab, source, {"r1": target}).start()
    d.wait()
    with Measure() as m:
        r = lab.tool("churn", source, target, keys, count, 0, *data)[0]
    per_change = m.cpu * 1e6 / count
    ctx.rows.add(job, f"{tables} tables", "durable", "CPU per change", per_change, "us", run)
    ctx.rows.add(job, f"{tables} tables", "durable", "equal after", r["lag_s"], "s", run)
    ctx.curves.setdefault((job, "CPU, us per change", "tables"), []).append(
        (tables, per_change))
    d.stop()
    lab.must_be_equal(source, target)
