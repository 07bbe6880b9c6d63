#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ashlar-attest where there is no TPM: what it says of its arguments, and that it needs no library.
Usage: attest_program_test.py PATH/ashlar-attest
"""

import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
NONCE = "4e" * 32


def run(*words):
    """(exit status, standard error) of the program."""
    ended = subprocess.run([PROGRAM, *words], check=False, capture_output=True, text=True, timeout=20)
    return ended.returncode, ended.stderr


class AttestTest(unittest.TestCase):
    def test_wrong_usage_is_told_and_is_status_2(self):
        for words in ([], ["--nonce"], ["--nonce", NONCE], ["--nonce", NONCE[2:], "-o", "-"],
                      ["--nonce", NONCE + "00", "-o", "-"], ["--nonce", "x" * 64, "-o", "-"],
                      ["--log", "-", "-o", "-"], ["--nonce", NONCE, "--log", "-"], ["--more", "1"],
                      ["-o", "-"]):
            with self.subTest(words=words):
                status, error = run(*words)
                self.assertEqual(status, 2)
                self.assertIn("see --help", error)

    def test_of_several_wishes_one_is_too_many(self):
        for words in (["--nonce", NONCE, "--log", "x", "-o", "b"], ["-o", "-"]):
            self.assertIn("exactly one of --nonce, --log and --activate must be given", run(*words)[1])

    def test_without_a_tpm_nothing_is_written(self):
        with tempfile.TemporaryDirectory() as folder:
            for words in (["--nonce", NONCE, "-o", f"{folder}/out"], ["--log", f"{folder}/out"]):
                status, error = run("--device", f"{folder}/tpm0", *words)
                self.assertEqual(status, 1)
                self.assertIn("this guest has no TPM there", error)
                with self.assertRaises(FileNotFoundError):
                    open(f"{folder}/out", "rb").close()

    def test_what_answers_as_no_tpm_does_is_told(self):
        status, error = run("--device", "/dev/null", "--log", "-")
        self.assertEqual(status, 1)
        self.assertIn("asking the vTPM for evidence", error)

    def test_it_is_static(self):
        listed = subprocess.run(["ldd", PROGRAM], check=False, capture_output=True, text=True)
        self.assertIn("not a dynamic executable", listed.stdout + listed.stderr)


if __name__ == "__main__":
    unittest.main()
