#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does drover-errors(7) say, for each number, what errors.def says?

    manual_errors.py errors.def drover-errors.7

Words are compared, without mdoc's macros and punctuation.
"""
import re
import sys

ROW = re.compile(r'^DR\((\w+), (\d+), \w+, \w+,((?:\s*"(?:[^"\\]|\\.)*")+),'
                 r'((?:\s*"(?:[^"\\]|\\.)*")+)\)', re.M)
MACRO = re.compile(r"^\.(br|Xr|Sy|Pp|It|El|Bl|Ss|Nm|Va|Ql|Li|Dl|Pa|Em)\b", re.M)
ESCAPES = {r"\(aq": "'", r"\-": "-", r"\(dq": '"', r"\(ti": "~", r"\e": "\\",
           r"\&": ""}


def words(text):
    for escape, char in ESCAPES.items():
        text = text.replace(escape, char)
    return re.sub(r"\W+", " ", MACRO.sub(" ", text)).lower().strip()


def literal(strings):
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"', strings)
    return "".join(p.replace('\\"', '"').replace("\\\\", "\\") for p in parts)


def main():
    table, page = (open(name).read() for name in sys.argv[1:])
    entries = dict(re.findall(
        r"\.It Sy DR-(\d+)\n(.*?)(?=\n\.It Sy DR-|\n\.El)", page, re.S))
    found = 0
    for name, number, text, remedy in ROW.findall(table):
        entry = words(entries.get(number, ""))
        for what, said in (("text", text), ("remedy", remedy)):
            if words(literal(said)) not in entry:
                found += 1
                print("DR-%s %s: the manual has another %s than: %s"
                      % (number, name, what, literal(said)))
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
