#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What ashlar-builder says of its arguments. Usage: builder_program_test.py PATH/ashlar-builder"""

import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop(1)


def run(*words):
    """(exit status, standard output, standard error) of the program."""
    ended = subprocess.run([PROGRAM, *words], check=False, capture_output=True, text=True, timeout=20)
    return ended.returncode, ended.stdout, ended.stderr


class BuilderTest(unittest.TestCase):
    def test_wrong_usage_says_what_is_wrong_and_how_to_use_it(self):
        for words, fault in ((["--bogus"], 'there is no argument "--bogus"'),
                             (["--verbose", "\x1b[2J"], r'there is no argument "\x1b[2J"'),
                             (["--config"], "--config must be followed by a file")):
            status, _, error = run(*words)
            self.assertEqual(status, 2)
            self.assertTrue(error.startswith(f"ashlar-builder: {fault}\nusage: "), error)

    def test_help_and_version_are_no_errors(self):
        self.assertTrue(run("--help")[1].startswith("usage: ashlar-builder "))
        status, output, error = run("--version")
        self.assertEqual((status, error), (0, ""))
        self.assertTrue(output.startswith("ashlar-builder 0."))


if __name__ == "__main__":
    unittest.main()
