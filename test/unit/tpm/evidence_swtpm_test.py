#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The TPM Manager's quotes and keys against a real TPM 2.0 (swtpm), by tpm2-tools and hashlib.
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

TOOL = swtpm_test.MANAGER
NONCE, KEY = b"\x4e" * 32, b"\x7b" * 32
RSA_CERTIFICATE, ECC_CERTIFICATE = "0x01c00002", "0x01c0000a"
PROGRAMS = ("swtpm", "tpm2_checkquote", "tpm2_print", "tpm2_makecredential", "tpm2_nvdefine", "tpm2_createek")


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def extra_data(attest: bytes) -> bytes:
    """TPMS_ATTEST: magic, type, the signer's name, then the data."""
    assert attest[:6] == b"\xffTCG\x80\x18", attest[:6]
    name = struct.unpack_from(">H", attest, 6)[0]
    size = struct.unpack_from(">H", attest, 8 + name)[0]
    return attest[10 + name:10 + name + size]


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

    def test_quote_is_taken_by_tpm2_checkquote_and_bound_to_all(self):
        self.run_tool()
        log = self.read("host.log")
        events = [log[i:i + 32] for i in range(0, len(log), 32)]
        self.assertEqual(len(events), 3)
        self.assertEqual(events[1], sha256(self.read("record")))
        pcr = bytes(32)
        for event in events:
            pcr = sha256(pcr + event)
        table = self.read("pcrs")
        values = {table[i]: table[i + 1:i + 33] for i in range(0, len(table), 33)}
        self.assertEqual(sorted(values), [0, 1, 2, 3, 4, 5, 6, 7, 13])
        self.assertEqual(values[13], pcr)
        wanted = sha256(b"ashlar-guest-quote-2\0" + NONCE + sha256(self.read("record")) + KEY + sha256(log))
        self.assertEqual(extra_data(self.read("host.quote.msg")), wanted)
        self.tool("tpm2_checkquote", "-u", "host.ak.pub", "-m", "host.quote.msg", "-s", "host.quote.sig",
                  "-q", wanted.hex(), tcti="")
        self.assertIn(sha256(b"".join(values[n] for n in sorted(values))), self.read("host.quote.msg"))
        with self.assertRaises(subprocess.CalledProcessError):
            self.tool("tpm2_checkquote", "-u", "host.ak.pub", "-m", "host.quote.msg", "-s",
                      "host.quote.sig", "-q", "00" * 32, tcti="")
        key = self.tool("tpm2_print", "-t", "TPM2B_PUBLIC", "host.ak.pub", tcti="")
        self.assertIn("fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign", key)

    def enrol(self, kind, public_key="host.ek.pub"):
        """What a verifier does once for a host: a secret that only the TPM with this EK gives out, and
        only if the AK is in it."""
        self.run_tool()
        self.tool("tpm2_createek", "-c", "ek.ctx", "-G", kind, "-u", "made.ek.pub")
        self.tool("tpm2_flushcontext", "-t")
        name = b"\x00\x0b" + sha256(self.read("host.ak.pub")[2:])
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
        self.assertEqual(self.read("host.ek.crt"), b"")
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
