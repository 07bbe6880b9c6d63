#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Bundles of real TPMs (swtpm), made just now: what `ashlar verify` says of them, and what
tpm2-tools say without it. Usage: swtpm_test.py PATH/ashlar SOURCES

Exit status 77: swtpm or tpm2-tools are not installed.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import bundles

SOURCES = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 2 else ""
ASHLAR = os.path.abspath(sys.argv.pop()) if len(sys.argv) > 1 else ""
SCRIPT = os.path.join(SOURCES, "examples/attestation/verify-with-tpm2-tools.sh")
# What ashlar verify says first, and whether tpm2-tools alone take it: they know no references.
REFUSED = {"old": ("nonce", False), "other-host": ("host key", False),
           "other-guest": ("reference", True), "empty-pcr": ("guest PCRs", False),
           "extended-pcr": ("guest log", False)}


class EvidenceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="ashlar-evidence-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        bundles.make(ASHLAR, cls.folder)

    def verify(self, name: str, *options: str, references: str = "reference") -> tuple:
        done = subprocess.run(
            [ASHLAR, "verify", f"{name}.bundle", "--reference", references, "--nonce",
             bundles.NONCE.hex(), "--json", *options], cwd=self.folder, capture_output=True,
            check=False, timeout=60)
        return done.returncode, json.loads(done.stdout)

    def by_tpm2_tools(self, name: str) -> subprocess.CompletedProcess:
        return subprocess.run([SCRIPT, f"{name}.bundle", bundles.NONCE.hex(),
                               "reference/host-ak.pem"], cwd=self.folder, capture_output=True,
                              text=True, check=False, timeout=60)

    def test_a_true_bundle_is_believed_by_both(self):
        done = self.by_tpm2_tools("grub")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for name in ("web", "rebuilt"):
            status, said = self.verify(name)
            self.assertEqual((status, said["ok"]), (0, True), said)
            self.assertEqual(said["guest"]["name"], "web-1")
            done = self.by_tpm2_tools(name)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_each_attack_is_refused_for_its_reason(self):
        for name, (link, taken) in REFUSED.items():
            status, said = self.verify(name)
            first = next(one for one in said["links"] if one["state"] == "failed")
            self.assertEqual((status, said["ok"], first["name"]), (1, False, link), name)
            done = self.by_tpm2_tools(name)
            self.assertEqual(done.returncode, 0 if taken else 1, name + done.stdout + done.stderr)

    def by_hand(self, name: str) -> subprocess.CompletedProcess:
        """The commands of docs/attestation.md, as they stand there, on a bundle of this name."""
        with open(os.path.join(SOURCES, "docs/attestation.md"), encoding="utf-8") as page:
            section = page.read().split("## With tpm2-tools alone", 1)[1]
        commands = section.split("```sh\n", 1)[1].split("```", 1)[0]
        with tempfile.TemporaryDirectory(prefix="ashlar-by-hand-") as folder:
            shutil.copy(os.path.join(self.folder, f"{name}.bundle"), f"{folder}/web.bundle")
            shutil.copytree(os.path.join(self.folder, "reference"), f"{folder}/references.d")
            return subprocess.run(["sh", "-eu", "-c", commands], cwd=folder, capture_output=True,
                                  text=True, check=False, timeout=60,
                                  env={**os.environ, "NONCE": bundles.NONCE.hex()})

    def test_the_commands_of_the_documents_work_as_they_stand(self):
        done = self.by_hand("web")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        self.assertEqual([line.split()[1] for line in lines if "pcrSelect: " in line],
                         ["ff2000", "001a00"])
        for digest in [line.split()[1] for line in lines if "pcrDigest: " in line]:
            self.assertIn(f"{digest}  -", lines)
        for name in ("old", "other-host"):
            self.assertNotEqual(self.by_hand(name).returncode, 0, name)

    def test_a_rebuilt_guest_is_told_from_the_one_seen_before(self):
        _, said = self.verify("web")
        record = said["guest"]["record"]
        self.assertEqual(self.verify("web", "--record", record)[0], 0)
        status, said = self.verify("rebuilt", "--record", record)
        self.assertEqual(status, 1)
        self.assertIn("built anew", said["links"][-1]["reason"])

    def test_the_tpm_must_be_of_a_maker_in_ek_ca_pem(self):
        for maker, status, state in (("maker", 0, "ok"), ("other-maker", 1, "failed")):
            references = os.path.join(self.folder, f"of-{maker}")
            shutil.copytree(os.path.join(self.folder, "reference"), references)
            shutil.copy(os.path.join(self.folder, f"{maker}.pem"),
                        os.path.join(references, "ek-ca.pem"))
            ended, said = self.verify("web", references=references)
            link = next(one for one in said["links"] if one["name"] == "endorsement")
            self.assertEqual((ended, link["state"]), (status, state), link)
        with open(os.path.join(references, "ek-ca.pem"), "w", encoding="ascii") as broken:
            broken.write("no certificate")
        done = subprocess.run([ASHLAR, "verify", "web.bundle", "--reference", references, "--nonce",
                               bundles.NONCE.hex()], cwd=self.folder, capture_output=True, text=True,
                              check=False, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("ek-ca.pem has no certificate", done.stderr)

    def test_wrong_usage_is_neither_good_nor_bad_evidence(self):
        good = {"--reference": "reference", "--nonce": bundles.NONCE.hex()}
        for wrong in ({"--nonce": "12"}, {"--reference": "/nonexistent"}, {"--record": "x"}):
            options = [word for pair in {**good, **wrong}.items() for word in pair]
            done = subprocess.run([ASHLAR, "verify", "web.bundle", *options], cwd=self.folder,
                                  capture_output=True, check=False, timeout=60)
            self.assertEqual(done.returncode, 2, wrong)


if __name__ == "__main__":
    if not (shutil.which("swtpm") and shutil.which("tpm2_checkquote")):
        sys.exit(77)
    unittest.main()
