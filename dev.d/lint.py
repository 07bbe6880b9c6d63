# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks the rules for source files that no compiler checks; with --tidy BUILD, runs clang-tidy."""

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPP = (".cpp", ".hpp")
SPDX = "SPDX-License-Identifier: LGPL-2.1-or-later"
MAX_LINES = 400
MAX_COLUMNS = 100


def files():
    """The files of the tree, without what is built or downloaded."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in (".git", ".cache", "out",
                            "__pycache__") and not name.startswith("build-") and
                            not (Path(folder) == ROOT and name == "build"))
        yield from (Path(folder) / name for name in sorted(names))


def is_source(path):
    """Sources carry a licence line and a length limit."""
    return path.suffix in (*CPP, ".py", ".proto") or path.name in ("dev", "run")


def without_text(source):
    """C++ with its comments, strings and template arguments blanked."""
    def blank(found):
        return " " * len(found.group())
    source = re.sub(r"""//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])'""", blank, source)
    arguments = 1
    while arguments:
        source, arguments = re.subn(r"<[^<>;(){}=]*>", blank, source)
    return source


def leaves_elements(before):
    """Whether a TRY after this text is a later element between braces or capture of a lambda, or
    inside new X(…): returning, it leaves the elements before it, or the memory, behind."""
    depth, earlier = 0, False
    for at in range(len(before) - 1, -1, -1):
        char = before[at]
        if char in ")}]":
            depth += 1
        elif char in "({[" and depth:
            depth -= 1
        elif depth:
            continue
        elif char == ";":
            return False
        elif char == ",":
            earlier = True
        elif char in "{[" and earlier or char == "(" and re.search(r"\bnew [\w:]+\s*$", before[:at]):
            return True
        elif char == "{" and not before[:at].rstrip().endswith(("{", ",")):
            return False  # the beginning of a block, or of the outermost braces
        elif char in "({[":
            earlier = False
    return False


def findings_of(path):
    """What breaks a rule in one file."""
    lines = path.read_text().splitlines()
    name = path.relative_to(ROOT)
    head = lines[:2] if lines and lines[0].startswith("#!") else lines[:1]
    if not any(SPDX in line for line in head):
        yield f"{name}:1: the first line must be the licence: {SPDX}"
    if len(lines) > MAX_LINES:
        yield f"{name}: {len(lines)} lines, more than {MAX_LINES}: split it by concept"
    for number, line in enumerate(lines, 1):
        if path.suffix in CPP and len(line) > MAX_COLUMNS:
            yield f"{name}:{number}: {len(line)} columns, more than {MAX_COLUMNS}"
        if re.search(r"\b(TODO|FIXME|XXX)\b", line) and path != Path(__file__).resolve():
            yield f"{name}:{number}: unfinished: {line.strip()}"
    source = without_text("\n".join(lines)) if path.suffix in CPP else ""
    for found in re.finditer(r"\bTRY\(", source):
        if leaves_elements(source[:found.start()]):
            number = source.count("\n", 0, found.start()) + 1
            yield f"{name}:{number}: a TRY after other elements leaks them: take its value first"


def check_files():
    """Format and rules."""
    sources = [path for path in files() if is_source(path)]
    findings = [finding for path in sources for finding in findings_of(path)]
    print("\n".join(findings))
    cpp = [str(path) for path in sources if path.suffix in CPP]
    formatted = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *cpp], check=False)
    return 1 if findings or formatted.returncode else 0


def tidy(build):
    """clang-tidy over every C++ source that Meson compiles."""
    commands = json.loads((build / "compile_commands.json").read_text())
    compiled = {(build / command["file"]).resolve() for command in commands}
    wanted = [str(path) for path in files() if path.suffix == ".cpp" and path in compiled]

    def run(path):
        # The flags are GCC's, which has names of its own for some warnings.
        flags = ["--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", str(build)]
        return subprocess.run(["clang-tidy-19", *flags, path], check=False, capture_output=True,
                              text=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done = list(pool.map(run, wanted))
    for result in done:
        if result.returncode:
            print(result.stdout)
    print(f"{len(done)} files checked")
    return 1 if any(result.returncode for result in done) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--tidy"]:
        sys.exit(tidy(Path(sys.argv[2]).resolve()))
    sys.exit(check_files())
