#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's evidence with a real TPM 2.0 (swtpm) under it, checked by tpm2-tools and hashlib.
Usage: evidence_swtpm_test.py PATH/evidence-tool

Exit status 77: swtpm or tpm2-tools are not installed.
"""

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import unittest
from pathlib import Path

import swtpm_test  # takes the program from the command line

ROOT = Path(__file__).resolve().parent.parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "demo")]
import evidence  # noqa: E402 (needs the path above)
import pcrs  # noqa: E402
from appliance import qemu  # noqa: E402

TOOL = swtpm_test.MANAGER
NONCE = "4e" * 32
RSA_CERTIFICATE, ECC_CERTIFICATE = "0x01c00002", "0x01c0000a"
PROGRAMS = ("swtpm", "tpm2_checkquote")


class EvidenceTest(swtpm_test.SwtpmTest):
    def setUp(self):
        self.directory = swtpm_test.tempfile.mkdtemp(prefix="ashlar-evidence-")
        self.addCleanup(shutil.rmtree, self.directory)
        os.mkdir(f"{self.directory}/run")
        self.swtpm = self.start_swtpm()
        self.addCleanup(self.stop, self.swtpm)
        self.tcti = f"swtpm:host=127.0.0.1,port={self.port}"

    def run_tool(self, *words, status=0):
        ended = subprocess.run([TOOL, self.tcti, self.directory, *words], check=False, timeout=60,
                               capture_output=True, text=True)
        self.assertEqual(ended.returncode, status, ended.stderr)
        return ended.stderr

    def tool(self, *words, tcti=None):
        """Runs one of the tpm2-tools; those that take a TCTI get this test's TPM, or "none"."""
        more = [] if tcti == "" else ["-T", tcti or self.tcti]
        return subprocess.run([words[0], *more, *words[1:]], check=True, capture_output=True, text=True,
                              cwd=self.directory, timeout=60).stdout

    def read(self, name):
        return (Path(self.directory) / name).read_bytes()

    def write_certificate(self, index, content):
        (Path(self.directory) / "certificate").write_bytes(content)
        self.tool("tpm2_nvdefine", index, "-C", "p", "-s", str(len(content)), "-a",
                  "ppwrite|ppread|ownerread|authread|no_da|platformcreate")
        self.tool("tpm2_nvwrite", index, "-C", "p", "-i", "certificate")

    def bundle(self):
        """Has the tool make a bundle, and unpacks it; gives its bytes."""
        self.run_tool()
        subprocess.run(["tar", "-xf", "bundle"], cwd=self.directory, check=True)
        return self.read("bundle")

    def test_bundle_holds_for_its_nonce_key_and_guest_and_for_no_others(self):
        bundle = self.bundle()
        self.tool("tpm2_createprimary", "-c", "ak.ctx", *qemu.KEY_TEMPLATE)
        self.tool("tpm2_readpublic", "-c", "ak.ctx", "-f", "pem", "-o", "ak.pem")
        key = self.read("ak.pem")
        text = pcrs.configuration("guest-2", "pvh", 256, "2.0")
        wanted = pcrs.expected("2.0", text, b"kernel", b"quiet", [b"initrd"])["sha256"]
        self.assertEqual(evidence.check(bundle, NONCE, key, wanted), [])
        self.assertEqual(len(self.read("host.log")), 3 * 32)
        stranger = self.tool("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                             "ec_paramgen_curve:P-256", tcti="")
        stranger = subprocess.run(["openssl", "pkey", "-pubout"], input=stranger.encode(), check=True,
                                  capture_output=True).stdout
        for wrong in ((bundle, "00" * 32, key, wanted), (bundle, NONCE, stranger, wanted),
                      (bundle, NONCE, key, wanted | {"11": "00" * 32})):
            self.assertNotEqual(evidence.check(*wrong), [])
        # A byte of each file that something vouches for.
        for name in ("record", "host.log", "host.quote.msg", "host.quote.sig", "guest.quote.msg",
                     "guest.quote.sig", "guest.ak.pub"):
            content = self.read(name)
            changed = bytearray(bundle)
            changed[bundle.index(content) + len(content) - 1] ^= 1
            with self.subTest(changed=name):
                self.assertNotEqual(evidence.check(bytes(changed), NONCE, key, wanted), [])

    def test_keys_and_log_are_in_the_forms_of_tpm2_tools(self):
        self.bundle()
        for name in ("host.ak.pub", "guest.ak.pub"):
            key = self.tool("tpm2_print", "-t", "TPM2B_PUBLIC", name, tcti="")
            self.assertIn("fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign", key)
        log = self.tool("tpm2_eventlog", "guest.log", tcti="")
        for line in self.read("guest.pcrs").decode().splitlines():
            number, value = line.removeprefix("sha256:").split()
            self.assertRegex(log, f"(?m)^ +{number} +: 0x{value}$")

    def enrol(self, kind, public_key="host.ek.pub"):
        """What a verifier does once for a host: a secret that only the TPM with this EK gives out, and
        only if the AK is in it."""
        self.bundle()
        self.tool("tpm2_createek", "-c", "ek.ctx", "-G", kind, "-u", "made.ek.pub")
        self.tool("tpm2_flushcontext", "-t")
        name = b"\x00\x0b" + hashlib.sha256(self.read("host.ak.pub")[2:]).digest()
        (Path(self.directory) / "challenge").write_bytes(b"a secret of 23 bytes...")
        self.tool("tpm2_makecredential", "-u", public_key, "-s", "challenge", "-n", name.hex(),
                  "-o", "credential", tcti="none")
        blob = self.read("credential")
        self.assertEqual(blob[:8], bytes.fromhex("badcc0de00000001"))
        size = 2 + struct.unpack_from(">H", blob, 8)[0]
        (Path(self.directory) / "id").write_bytes(blob[8:8 + size])
        (Path(self.directory) / "encrypted").write_bytes(blob[8 + size:])

    def activate(self, status=0):
        return self.run_tool(f"{self.directory}/id", f"{self.directory}/encrypted", status=status)

    def test_credential_is_activated_for_the_ecc_key(self):
        self.enrol("ecc")
        self.assertFalse((Path(self.directory) / "host.ek.crt").exists())
        self.assertEqual(self.read("host.ek.pub"), self.read("made.ek.pub"))
        self.activate()
        self.assertEqual(self.read("secret"), b"a secret of 23 bytes...")

    def test_credential_is_activated_for_the_rsa_key_that_the_maker_certified(self):
        certificate = bytes.fromhex("308202bc") + os.urandom(700)
        self.write_certificate(RSA_CERTIFICATE, certificate + b"\xff" * 100)
        self.enrol("rsa")
        self.assertEqual(self.read("host.ek.crt"), certificate)
        self.assertEqual(self.read("host.ek.pub"), self.read("made.ek.pub"))
        self.activate()
        self.assertEqual(self.read("secret"), b"a secret of 23 bytes...")

    def test_certificate_of_the_ecc_key_goes_first_and_a_damaged_credential_is_refused(self):
        self.write_certificate(RSA_CERTIFICATE, bytes.fromhex("30820004") + b"rsa.")
        self.write_certificate(ECC_CERTIFICATE, bytes.fromhex("30820004") + b"ecc.")
        self.enrol("ecc")
        self.assertEqual(self.read("host.ek.crt"), bytes.fromhex("30820004") + b"ecc.")
        damaged = bytearray(self.read("id"))
        damaged[-1] ^= 1
        (Path(self.directory) / "id").write_bytes(damaged)
        self.assertIn("another attestation or endorsement key", self.activate(status=1))


# The tests of the base class are those of another program.
for test in [name for name in dir(swtpm_test.SwtpmTest) if name.startswith("test_")]:
    setattr(EvidenceTest, test, None)

if __name__ == "__main__":
    for program in PROGRAMS:
        if not shutil.which(program):
            print(f"skipped: {program} is not installed (packages swtpm, tpm2-tools)")
            sys.exit(77)
    unittest.main()
