# SPDX-License-Identifier: MIT
"""report.md and its pictures, from the rows."""

import math
import os
import platform

from rows import median

COLOURS = ["#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad", "#d68910", "#566573", "#117864"]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        model = next((line.split(":", 1)[1].strip() for line in f
                      if line.startswith("model name")), "unknown processor")
    return f"{os.cpu_count()} cores, {model}, Linux {platform.release()}"


def number(x):
    if x != x:
        return "-"
    if abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x:.3g}"


def table(rows, job):
    lines = ["| who | durability | figure | median | min | max | runs |",
             "|---|---|---|--:|--:|--:|--:|"]
    for (who, durability, figure, unit), v in rows.groups(job).items():
        lines.append(f"| {who.replace('|', '&#124;')} | {durability} | {figure}, {unit} | "
                     f"{number(median(v))} | {number(min(v))} | {number(max(v))} | {len(v)} |")
    return "\n".join(lines)


def write(out, rows, ctx, command, filesystem, failures):
    parts = ["# Drover and its peers, measured", "",
             f"{machine()}; {filesystem}. One command made all of this: `{command}`. Every figure is the "
             "median of alternating runs; rows.csv has each of them. After every run the "
             "copy was compared with its source, byte for byte.", ""]
    for job in rows.jobs():
        parts += [f"## {job}", "", table(rows, job), ""]
        samples = ctx.samples
        who = [w for (j, w) in samples if j == job]
        if who:
            name = _file_name("latency-" + job)
            with open(os.path.join(out, name), "w", encoding="utf-8") as f:
                f.write(distribution({w: samples[(job, w)] for w in who}))
            parts += [f"![distribution]({name})", ""]
        bars_name = _file_name("time-" + job)
        times = {w: median(v) for (w, _, figure, _), v in rows.groups(job).items()
                 if figure == "time"}
        if len(times) > 1:
            with open(os.path.join(out, bars_name), "w", encoding="utf-8") as f:
                f.write(bars(times, "s"))
            parts += [f"![times]({bars_name})", ""]
        for (j, what, of), points in ctx.curves.items():
            if j == job and len({x for x, _ in points}) > 1:
                name = _file_name("curve-" + job)
                with open(os.path.join(out, name), "w", encoding="utf-8") as f:
                    f.write(curve(points, what, of))
                parts += [f"![{what}]({name})", ""]
    if failures:
        parts += ["## What could not be measured", ""]
        parts += [f"- {job}: {why}" for job, why in failures] + [""]
    with open(os.path.join(out, "report.md"), "w", encoding="utf-8") as f:
        f.write("\n".join(parts))


def _file_name(words):
    return "".join(c if c.isalnum() else "-" for c in words) + ".svg"


def _svg(width, height, body):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="12">'
            f'<rect width="100%" height="100%" fill="white"/>{body}</svg>\n')


def _text(x, y, s, anchor="start"):
    s = str(s).replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{s}</text>'


def bars(values, unit):
    top = max(values.values()) or 1
    body, y = "", 20
    for i, (who, v) in enumerate(sorted(values.items(), key=lambda kv: kv[1])):
        w = max(1.0, 380 * v / top)
        body += _text(190, y + 13, who, "end")
        body += (f'<rect x="200" y="{y}" width="{w:.1f}" height="18" '
                 f'fill="{COLOURS[0] if who.startswith("drover") else COLOURS[5]}"/>')
        body += _text(206 + w, y + 13, f"{number(v)} {unit}")
        y += 26
    return _svg(680, y + 10, body)


def distribution(samples):
    """Share of the changes that arrived within a time; logarithmic."""
    values = [v for some in samples.values() for v in some if v == v and v > 0]
    if not values:
        return _svg(10, 10, "")
    low, high = math.log10(min(values)), math.log10(max(values))
    high = max(high, low + 0.1)
    left, top, w, h = 50, 15, 560, 240

    def at(v):
        return left + w * (math.log10(max(v, 10 ** low)) - low) / (high - low)

    body = (f'<rect x="{left}" y="{top}" width="{w}" height="{h}" fill="none" '
            'stroke="#999"/>')
    for e in range(math.floor(low), math.ceil(high) + 1):
        if low <= e <= high:
            body += (f'<line x1="{at(10 ** e):.1f}" x2="{at(10 ** e):.1f}" y1="{top}" '
                     f'y2="{top + h}" stroke="#ddd"/>')
            body += _text(at(10 ** e), top + h + 16, f"{10 ** e:g} ms", "middle")
    for share in (0, 25, 50, 75, 100):
        body += _text(left - 6, top + h - h * share / 100 + 4, f"{share} %", "end")
    for i, (who, some) in enumerate(samples.items()):
        s = sorted(v for v in some if v == v)
        points = " ".join(f"{at(v):.1f},{top + h - h * (k + 1) / len(s):.1f}"
                          for k, v in enumerate(s))
        colour = COLOURS[i % len(COLOURS)]
        body += f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        body += (f'<rect x="{left + 10}" y="{top + 8 + 17 * i}" width="12" height="4" '
                 f'fill="{colour}"/>' + _text(left + 28, top + 14 + 17 * i, who))
    return _svg(640, 290, body)


def curve(points, what, of):
    """Medians over a logarithmic x; y begins at 0."""
    by_x = {}
    for x, y in points:
        by_x.setdefault(x, []).append(y)
    line = [(x, median(ys)) for x, ys in sorted(by_x.items())]
    low, high = math.log10(line[0][0]), math.log10(line[-1][0])
    top_y = max(y for _, y in line) * 1.15 or 1
    left, top, w, h = 70, 25, 500, 200

    def at(x, y):
        return (left + w * (math.log10(x) - low) / ((high - low) or 1),
                top + h - h * y / top_y)

    body = (_text(left, top - 10, what) + f'<rect x="{left}" y="{top}" width="{w}" '
            f'height="{h}" fill="none" stroke="#999"/>')
    body += f'<polyline points="{" ".join("%.1f,%.1f" % at(x, y) for x, y in line)}" '
    body += f'fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>'
    for x, y in line:
        px, py = at(x, y)
        body += f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{COLOURS[0]}"/>'
        body += _text(px, py - 8, number(y), "middle")
        body += _text(px, top + h + 16, f"{x:,} {of}", "middle")
    return _svg(640, top + h + 30, body)
