# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `meson install` puts somewhere fits together: the unit starts the builder, which finds its programs; all has its page."""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

PAGES = Path(__file__).resolve().parent.parent.parent.parent / "docs" / "man"
# Of systemd's scale from 0 to 100: root that needs namespaces and Xen's devices cannot have much less.
MOST_EXPOSED = 35
CHILDREN = ("ashlar-inspector", "ashlar-verifier", "ashlar-constructor")


def main():
    """Installs into a folder of its own and looks; gives the exit status."""
    build, sbin, libexec, man = sys.argv[1:]
    problems = []

    def expect(condition, problem):
        if not condition:
            problems.append(problem)

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", folder], check=True)
        units = list(Path(folder).rglob("*.service"))
        expect(len(units) == 2, f"there are {len(units)} units")
        for unit in units:
            text = unit.read_text()
            program = re.search(r"^ExecStart=(\S+)", text, re.MULTILINE)[1]
            expect(program.startswith(sbin) and Path(folder + program).is_file(), f"{unit.name} starts {program}")
            page, section = re.search(r"^Documentation=man:(\S+)\((\d)\)", text, re.MULTILINE).groups()
            expect((Path(folder + man) / f"man{section}" / f"{page}.{section}").is_file(), f"{unit.name} names {page}")
            judged = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", unit],
                                    check=False, capture_output=True, text=True)
            expect(judged.returncode == 0, f"{unit.name}: {(judged.stdout + judged.stderr).strip().splitlines()[-1:]}")
        expect(libexec.encode() + b"\0" in Path(f"{folder}{sbin}/ashlar-builder").read_bytes(),
               f"the builder does not look into {libexec}")
        for name in CHILDREN:
            expect(Path(f"{folder}{libexec}/{name}").is_file(), f"{name} is not in {libexec}")
        installed = {path.name for path in Path(folder + man).rglob("*.[158]")}
        expect(installed == {path.name for path in PAGES.glob("*.[158]")}, f"the pages are {installed}")
    print("\n".join(problems) or "all as it should be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
