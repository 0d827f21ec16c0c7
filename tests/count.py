#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sum up ctest's JUnit report (its own log calls a skipped test passed).

    count.py SUITE REPORT FOLDER [NAME...]

cmocka's counts where a test prints them, else one test each.  NAMEs failed and
passed when they were run once more alone: they count as passed and are listed
as unsteady.  Appends to FOLDER/counts ("PASSED FAILED SKIPPED") and, with names
and reasons, to FOLDER/skips, failures and unsteady.
"""
import re
import sys
import xml.etree.ElementTree as ElementTree


def number(word, text):
    found = re.findall(r"\[  %s *\] (\d+) test" % word, text)
    return sum(int(n) for n in found)


def unique(items):
    return list(dict.fromkeys(items))


class Case:
    """One <testcase>: what it printed, and how ctest calls its end."""

    def __init__(self, element):
        self.name = element.get("name")
        self.status = element.get("status")
        self.text = element.findtext("system-out") or ""
        end = element.find("skipped")
        if end is None:
            end = element.find("failure")
        self.note = end.get("message") if end is not None else ""
        self.passed = number("PASSED", self.text)
        self.failed = number("FAILED", self.text)
        self.skipped = number("SKIPPED", self.text)

    def failures(self):
        return "".join(" " + n for n in unique(
            re.findall(r"\[  FAILED  \] ([A-Za-z_]\w*)", self.text)))

    def reason(self):
        why = re.findall(r"(?:SKIP|skip|skipped): (.*)", self.text)
        return "; ".join(unique(why)) or "no reason given"


class Count:
    def __init__(self, suite, folder, again):
        self.suite, self.folder, self.again = suite, folder, again
        self.sums = [0, 0, 0]

    def list(self, file, line):
        with open("%s/%s" % (self.folder, file), "a") as out:
            out.write("%s: %s\n" % (self.suite, line))

    def add(self, case):
        passed, failed, skipped = case.passed, case.failed, case.skipped
        if case.status == "run":
            if passed + failed + skipped == 0:
                passed = 1
        elif case.status == "notrun" and (case.note or "").startswith("SKIP"):
            passed, failed, skipped = 0, 0, 1
            self.list("skips", "%s: %s" % (case.name, case.reason()))
        elif case.status == "disabled":
            passed = failed = skipped = 0
        elif case.name in self.again:
            passed, failed, skipped = passed + 1, 0, 0
            self.list("unsteady", case.name + case.failures())
        else:
            failed = max(failed, 1)
            note = ": " + case.note if case.note else ""
            self.list("failures", case.name + note + case.failures())
        if skipped > 0 and case.status != "notrun":
            self.list("skips", "%s: %d of its tests: %s"
                      % (case.name, skipped, case.reason()))
        self.sums = [a + b for a, b in zip(self.sums, (passed, failed, skipped))]


def main():
    suite, report, folder, *again = sys.argv[1:]
    count = Count(suite, folder, again)
    for element in ElementTree.parse(report).iter("testcase"):
        count.add(Case(element))
    with open(folder + "/counts", "a") as out:
        out.write("%d %d %d\n" % tuple(count.sums))


if __name__ == "__main__":
    main()
