# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks which shared libraries a program needs: PROGRAM then the starts of forbidden names.

Code that holds privilege must not hold parsers of guest bytes: not even unused ones, which an
attacker could still jump to.
"""

import subprocess
import sys


def needed(program):
    """The names of all libraries that the loader would map, the indirect ones too."""
    lines = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    return [line.split()[0] for line in lines.splitlines()]


def main(program, forbidden):
    """Prints what must not be there."""
    names = needed(program)
    # An ldd that lists nothing would let everything pass.
    if not any(name.startswith("libc.so") for name in names):
        print(f"{program}: ldd does not list the C library; is this a dynamic program?")
        return 1
    found = [name for name in names if name.startswith(tuple(forbidden))]
    if found:
        print(f"{program} is linked with {', '.join(found)}: depend on a report's or plan's "
              "format (inspector_report_dep, constructor_plan_dep), not on its program's library")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
