#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Coverage of store/, sync/ and agent/: a table, and what must be named.

    coverage.py COUNTS.json UNCOVERED.txt REPORT.txt    COUNTS: gcovr --json
    coverage.py --draft COUNTS.json UNCOVERED.txt       a new UNCOVERED.txt

REPORT gets lines and branches per module and the numbers of all lines that
never ran; the folders' sums and what is wrong go to stdout.  Wrong is: a folder
below its floor; a function of store/ or sync/ with lines that never ran and no
line in UNCOVERED.txt, or with another number of them; a name there whose lines
run by now.  "0-3" says that up to 3 lines may not run: what others do at the
time decides.
"""
import json
import re
import sys

FOLDERS = ("store", "sync", "agent")
NAMED = ("store/", "sync/")


def load(path):
    """{file: (functions, {line: count}, {line: [branch counts]})}"""
    files = {}
    for f in json.load(open(path, encoding="utf-8"))["files"]:
        name = f["file"]
        if not name.startswith(FOLDERS) or name.startswith("agent/demo/"):
            continue
        functions = sorted((g["lineno"], g["name"]) for g in f["functions"])
        lines, branches = {}, {}
        for entry in f["lines"]:
            if entry.get("gcovr/noncode") or entry.get("gcovr/excluded"):
                continue
            n = entry["line_number"]
            lines[n] = lines.get(n, 0) + entry["count"]
            counts = [b["count"] for b in entry["branches"]]
            if counts:
                branches[n] = counts
        if lines:
            files[name] = (functions, lines, branches)
    return files


def uncovered(files):
    """{file:function: [lines that never ran]}"""
    found = {}
    for name, (functions, lines, _) in files.items():
        for n in sorted(n for n, count in lines.items() if count == 0):
            inside = [g for start, g in functions if start <= n]
            found.setdefault(f"{name}:{inside[-1] if inside else '-'}", []).append(n)
    return found


def ranges(numbers):
    out = []
    for n in numbers:
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def sums(modules):
    ran = total = taken = ways = 0
    for _, lines, branches in modules:
        total += len(lines)
        ran += sum(count > 0 for count in lines.values())
        for counts in branches.values():
            ways += len(counts)
            taken += sum(count > 0 for count in counts)
    return total, ran, ways, taken


def row(name, modules):
    total, ran, ways, taken = sums(modules)
    return (f"{name:<32} {total:6} {100 * ran / total:6.1f} %   {ways:6} "
            f"{100 * taken / ways if ways else 100:6.1f} %")


def read_named(path):
    floors, named, wrong = {}, {}, []
    for number, text in enumerate(open(path, encoding="utf-8"), 1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        floor = re.fullmatch(r"floor (\S+) ([\d.]+) ([\d.]+)", text)
        entry = re.fullmatch(r"(\S+:\S+)\s+(\d+)(?:-(\d+))?\s+(\S.*)", text)
        if floor:
            floors[floor[1]] = (float(floor[2]), float(floor[3]))
        elif entry and entry[1] not in named:
            least = int(entry[2])
            named[entry[1]] = (least, int(entry[3] or least), entry[4])
        else:
            wrong.append(f"{path}:{number}: not \"FILE:FUNCTION LINES REASON\", or twice")
    return floors, named, wrong


def judge(files, found, path):
    """What is below its floor (or unreadable), and what the list has wrong."""
    floors, named, low = read_named(path)
    wrong = []
    for folder in FOLDERS:
        modules = [m for name, m in files.items() if name.startswith(folder + "/")]
        total, ran, ways, taken = sums(modules)
        least_lines, least_branches = floors.get(folder, (100, 100))
        for what, have, least in (("lines", 100 * ran / total, least_lines),
                                  ("branches", 100 * taken / ways, least_branches)):
            if have < least:
                low.append(f"{folder}: {have:.1f} % of its {what} ran, the floor is {least} %")
    for where, lines in sorted(found.items()):
        if not where.startswith(NAMED):
            continue
        if where not in named:
            wrong.append(f"{where}: {len(lines)} lines never ran ({ranges(lines)}): "
                         f"test them, or name them in {path}")
        elif not named[where][0] <= len(lines) <= named[where][1]:
            wrong.append(f"{where}: {len(lines)} lines never ran ({ranges(lines)}), "
                         f"{path} has another number")
    for where, (least, _, _) in sorted(named.items()):
        if where not in found and least > 0:
            wrong.append(f"{where}: all its lines ran: take it out of {path}")
    return low, wrong


def draft(found, path):
    """The list as it should be, with the reasons that it has; new ones: "?"."""
    for text in open(path, encoding="utf-8"):
        if text.startswith(("#", "floor")) or not text.strip():
            print(text, end="")
    _, named, _ = read_named(path)
    for where in sorted(set(found) | set(named)):
        if not where.startswith(NAMED):
            continue
        lines = len(found.get(where, []))
        least, most, reason = named.get(where, (lines, lines, f"? {ranges(found.get(where, []))}"))
        if least == most and lines > 0:
            print(f"{where} {lines} {reason}")
        elif least == 0 and most > 0:
            print(f"{where} 0-{max(lines, most)} {reason}")


def main(argv):
    if len(argv) == 4 and argv[1] == "--draft":
        draft(uncovered(load(argv[2])), argv[3])
        return 0
    if len(argv) != 4:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    files = load(argv[1])
    found = uncovered(files)
    head = f"{'':<32} {'lines':>6} {'ran':>8}   {'ways':>6} {'taken':>8}"
    summary = [head] + [
        row(folder + "/", [m for name, m in files.items() if name.startswith(folder + "/")])
        for folder in FOLDERS]
    modules = [head] + [row(name, [m]) for name, m in sorted(files.items())]
    with open(argv[3], "w", encoding="utf-8") as out:
        print("\n".join(summary + [""] + modules), file=out)
        print("\nLines that never ran:", file=out)
        for where, lines in sorted(found.items()):
            print(f"{where} {ranges(lines)}", file=out)
    print("\n".join(modules + [""] + summary))
    low, wrong = judge(files, found, argv[2])
    for text in low + wrong:
        print(text)
    print(f"{len(found)} functions with lines that never ran, {len(low + wrong)} finding(s)")
    return 1 if low else 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
