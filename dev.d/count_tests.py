# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sums up the tests of a run: Meson's log, with each doctest case counted, and the system tests' last line.

Prints "N passed, N failed" (and ", N skipped" if any were), and fails unless some ran and none failed.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

DOCTEST = re.compile(r"\[doctest\] test cases:\s*(\d+)\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed"
                     r"\s*\|\s*(\d+) skipped")
SYSTEM = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", re.MULTILINE)


def count_meson(path):
    """The counts of Meson's testlog.json, which has one JSON object a line for each test program."""
    counts = Counter()
    for line in path.read_text().splitlines():
        test = json.loads(line)
        found = DOCTEST.search(re.sub(r"\x1b\[[0-9;]*m", "", test.get("stdout", "")))
        if found:
            counts["passed"] += int(found.group(2))
            counts["failed"] += int(found.group(3))
        elif test["result"] == "SKIP":
            counts["skipped"] += 1
        elif test["result"] in ("OK", "EXPECTEDFAIL"):
            counts["passed"] += 1
        if test["result"] not in ("OK", "SKIP", "EXPECTEDFAIL"):
            print(f"failed: {test['name']} ({test['result']})")
            # A program that crashed reports no failed case of its own.
            if not found or found.group(3) == "0":
                counts["failed"] += 1
    return counts


def count_system(path):
    """The counts of the system tests' last line; a run without one has failed."""
    found = SYSTEM.search(path.read_text())
    if not found:
        print("failed: the system tests ended without a count")
        return Counter(failed=1)
    passed, failed, skipped = (int(number or 0) for number in found.groups())
    return Counter(passed=passed, failed=failed, skipped=skipped)


def main(meson_log, system_output):
    """Adds up what is there."""
    counts = Counter()
    if Path(meson_log).exists():
        counts += count_meson(Path(meson_log))
    if Path(system_output).exists():
        counts += count_system(Path(system_output))
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
