# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs the system tests: each function test_* of a file test_*.py is a test, on a machine that the file describes.

A test takes the machine and raises when something is wrong; the first line of its docstring is its name.
A file may set BOOT, the options of fixture.boot(); files with the same share a machine. After each test the harness
compares the machine with how it was before: domains, xenstore, the builder and its children.
Whatever a test leaves behind fails that test, unless its attribute `changes_state` is set.
"""

import argparse
import importlib.util
import os
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import fixture  # noqa: E402 (needs the path above)
from appliance import qemu  # noqa: E402
from shell import ShellError  # noqa: E402

EXIT_SKIPPED = 77  # Meson's


class Test(NamedTuple):
    """A test: its file's name without the suffix, its function's name, and the function."""

    group: str
    name: str
    function: Callable


class Runner:
    """Runs the tests of all files and counts."""

    def __init__(self, images, only, minutes):
        self._images = images
        self._only = only
        self._minutes = minutes  # none: no limit
        self._end = time.monotonic() + minutes * 60 if minutes else None
        self._lock = threading.Lock()  # for the counts and whole reports
        self.passed = 0
        self.failed = 0
        self.skipped = 0

    def run_files(self, paths):
        """Runs the tests of files that take the same machine, on as few boots as possible."""
        modules = {path.stem: load(path) for path in paths}
        tests = [Test(group, name, function) for group, module in modules.items()
                 for name, function in vars(module).items()
                 if name.startswith("test_") and callable(function) and self._only in f"{group}.{name}"]
        options = boot_options(modules[paths[0].stem])
        while tests and not self._skip_late(tests):
            print(f"{tests[0].group}: booting", flush=True)
            try:
                with fixture.boot(self._images, paths[0].stem, **options) as machine:
                    self._run_on(machine, tests)
            except ShellError as error:
                # Without a machine the first test that is left has no chance; try the next anew.
                if tests:
                    self._report(tests.pop(0), 0, str(error))

    def _run_on(self, machine, tests):
        """Runs tests, and takes them off the list, until one leaves a machine that is of no more use."""
        before = fixture.state(machine)
        while tests and not self._skip_late(tests):
            test = tests.pop(0)
            function = test.function
            started = time.monotonic()
            problem = attempt(function, machine)
            usable = machine.alive()
            if usable and getattr(function, "ends_machine", False):
                problem = problem or "the machine still runs"
            if usable:
                try:
                    if getattr(function, "changes_state", False):
                        before = fixture.state(machine)
                    after = fixture.settled_state(machine, before)
                except ShellError as error:
                    problem, usable = problem or f"the machine does not answer: {error}", False
                else:
                    problem = problem or fixture.difference(before, after)
                    before = after
            elif not getattr(function, "ends_machine", False):
                problem = problem or "the machine stopped"
            self._report(test, time.monotonic() - started, problem, machine)
            if not usable or getattr(function, "ends_machine", False):
                return

    def _skip_late(self, tests):
        """Takes all tests off the list, and says so, once the time for all of them is over."""
        if self._end is None or time.monotonic() < self._end:
            return False
        with self._lock:
            for test in tests:
                print(f"skip {test.group}.{test.name}: the {self._minutes} min for the system tests are over", flush=True)
            self.skipped += len(tests)
        tests.clear()
        return True

    def _report(self, test, seconds, problem, machine=None):
        title = (test.function.__doc__ or test.name).splitlines()[0].rstrip(".")
        verdict = "FAIL" if problem else "ok"
        lines = [f"{verdict:4} {test.group}: {title} ({seconds:.1f} s)"]
        if problem:
            lines += [f"     {line}" for line in problem.splitlines()]
            if machine:
                lines.append(machine.log_tail())
        with self._lock:
            print("\n".join(lines), flush=True)
            if problem:
                self.failed += 1
            else:
                self.passed += 1


def attempt(function, machine):
    """Runs one test; gives what went wrong, or nothing."""
    try:
        function(machine)
    except Exception as error:  # a test may fail in any way; the others still run
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
    return None


def load(path):
    """The test file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# They take minutes each: begun last, one of them would run alone at the end.
# Of the files that share a machine, the first counts for all; test_vtpm ends the machine that it shares. What is left
# for the end should be short: the other machine then waits for nothing.
LONGEST = ("test_builder", "test_vtpm_state", "test_tpm_manager", "test_vtpm", "test_restart", "test_images")


def starting_order(path):
    """The place of a file: the longest ones first, then by name."""
    place = LONGEST.index(path.stem) if path.stem in LONGEST else len(LONGEST)
    return place, path.name


def boot_options(module):
    """The machine that a test file wants."""
    return getattr(module, "BOOT", {})


def by_machine(paths):
    """The files in lists: those that want the same machine are in one."""
    lists = []
    for path in sorted(paths, key=starting_order):
        options = boot_options(load(path))
        same = next((files for wanted, files in lists if wanted == options), None)
        if same is None:
            lists.append((options, [path]))
        else:
            same.append(path)
    return [paths for _, paths in lists]


def main():
    """Runs what was asked for; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="Meson's build directory")
    parser.add_argument("--only", default="", help="tests whose FILE.FUNCTION contains this")
    parser.add_argument("--machines", type=int, default=2, help="files that run side by side, each on "
                        "its machine (2; more than there are cores starve each other)")
    parser.add_argument("--minutes", type=int, default=int(os.environ.get("ASHLAR_TEST_MINUTES", "0")),
                        help="begin no test after so long (ASHLAR_TEST_MINUTES; 0: run them all)")
    options = parser.parse_args()
    if reason := qemu.available():
        print(f"skipped: {reason}: run ./dev setup")
        return EXIT_SKIPPED
    print("making the images", flush=True)
    runner = Runner(fixture.Images(options.build.resolve()), options.only, options.minutes)
    with ThreadPoolExecutor(max_workers=options.machines) as machines:
        # list(): an exception of the harness itself must come out here.
        list(machines.map(runner.run_files, by_machine(HERE.glob("test_*.py"))))
    skipped = f", {runner.skipped} skipped" if runner.skipped else ""
    print(f"{runner.passed} passed, {runner.failed} failed{skipped}", flush=True)
    return 0 if runner.passed and not runner.failed else 1


if __name__ == "__main__":
    sys.exit(main())
