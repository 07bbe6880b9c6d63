#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The TPM Manager against a real TPM 2.0 (swtpm): what its PCR holds must be what this file
computes from the records alone, without any of Ashlar's code. Usage: swtpm_test.py PATH/ashlar-tpm-manager

Exit status 77: swtpm or tpm2-tools are not installed.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

MANAGER = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else ""
BANKS = ("sha1", "sha256", "sha384")
PCR = 13
LINK_VERSION = 3
NOBODY = 65534
# tpm/src/esys_quote.cpp
KEY_TEMPLATE = ("-C", "e", "-g", "sha256", "-G", "ecc256:ecdsa-sha256:null", "-a",
                "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign")


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def make_record(serial: int, domid: int, command_line: bytes = b"quiet") -> bytes:
    """A record as docs/measurements.md lays it out, with one command line event (type 5)."""
    digests = b"".join(hashlib.new(bank, command_line).digest() for bank in BANKS)
    size = struct.pack("<Q", len(command_line))
    event = b"\x05" + text(b"") + text(command_line) + size + digests
    head = b"ASHR" + struct.pack("<IQI", 1, serial, domid) + bytes(16) + text(b"test")
    return head + struct.pack("<I", 1) + event


def replay(bank: str, records: list) -> str:
    value = bytes(hashlib.new(bank).digest_size)
    for record in records:
        value = hashlib.new(bank, value + hashlib.new(bank, record).digest()).digest()
    return value.hex()


def until(condition, what: str, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Refused(Exception):
    """The manager's refusal: (code, reason)."""


class Builder:
    """The builder's end of the protocol of docs/tpm-manager.md."""

    def __init__(self, path: str):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def send(self, kind: int, body: bytes, request: int = 1) -> None:
        message = struct.pack("<BQ", kind, request) + body
        self.socket.sendall(struct.pack("<IB3x", len(message), 1) + message)

    def receive(self) -> tuple:
        length = struct.unpack("<I", self.exactly(8)[:4])[0]
        message = self.exactly(length)
        if message[0] == 0x82:
            raise Refused(message[9], message[14:].decode())
        if message[0] == 0x83:
            return self.identity(message[9:])
        serial, pcr, value, events = struct.unpack("<QI32sQ", message[9:])
        return serial, pcr, value.hex(), events

    @staticmethod
    def identity(body: bytes) -> tuple:
        """Attestation key, endorsement key and certificate, and {PCR: value}."""
        parts = []
        for _ in range(3):
            size = struct.unpack_from("<I", body)[0]
            parts.append(body[4:4 + size])
            body = body[4 + size:]
        pcrs = {body[at]: body[at + 1:at + 33].hex() for at in range(1, len(body), 33)}
        return *parts, pcrs

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the manager closed the connection")
            data += piece
        return data

    def hello(self):
        self.send(1, struct.pack("<I", LINK_VERSION))
        return self.receive()

    def put(self, record: bytes):
        self.send(2, text(record))
        return self.receive()

    def identify(self) -> tuple:
        self.send(6, b"")
        return self.receive()

    def revoke(self, serial: int):
        self.send(3, struct.pack("<Q", serial))
        return self.receive()


class SwtpmTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="ashlar-swtpm-")
        os.chmod(self.directory, 0o755)
        self.addCleanup(shutil.rmtree, self.directory)
        self.key_store = "none"
        self.swtpm = self.start_swtpm()
        self.manager = None
        self.builder = self.start_manager()

    def start_swtpm(self):
        """swtpm's TCTI finds the control channel at the port after the data channel's."""
        for attempt in range(20):
            self.port = 20000 + (os.getpid() * 7 + attempt * 101) % 20000
            process = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.directory}",
                 "--server", f"type=tcp,port={self.port},bindaddr=127.0.0.1",
                 "--ctrl", f"type=tcp,port={self.port + 1},bindaddr=127.0.0.1",
                 "--flags", "not-need-init,startup-clear"], stderr=subprocess.DEVNULL)
            if until(lambda: process.poll() is not None or self.port_is_open(), "swtpm starts"):
                if process.poll() is None:
                    self.addCleanup(self.stop, process)
                    return process
        raise AssertionError("swtpm found no free pair of ports")

    def port_is_open(self) -> bool:
        # Looks without connecting: swtpm takes one connection at a time.
        with open("/proc/net/tcp", encoding="ascii") as table:
            wanted = f"0100007F:{self.port + 1:04X}"
            return any(line.split()[1] == wanted and line.split()[3] == "0A"
                       for line in table.readlines()[1:])

    def stop(self, process, number=signal.SIGTERM):
        if process and process.poll() is None:
            process.send_signal(number)
            process.wait(timeout=20)

    def command(self):
        return [MANAGER, "--listen", f"unix:{self.directory}/manager.sock",
                "--tpm", f"swtpm:host=127.0.0.1,port={self.port}",
                "--run-directory", f"{self.directory}/run", "--key-store", self.key_store]

    def start_manager(self) -> Builder:
        self.manager = subprocess.Popen(self.command())
        self.addCleanup(self.stop, self.manager)
        self.builder = until(self.connect, "the manager takes connections")
        self.addCleanup(self.builder.socket.close)
        return self.builder

    def connect(self):
        if self.manager.poll() is not None:
            raise AssertionError(f"the manager ended with status {self.manager.returncode}")
        try:
            builder = Builder(f"{self.directory}/manager.sock")
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        builder.hello()
        return builder

    def pcr_values(self) -> dict:
        """As tpm2-tools read them; the manager must be gone, since swtpm serves one at a time."""
        self.stop(self.manager, signal.SIGKILL)
        banks = "+".join(f"{bank}:{PCR}" for bank in BANKS)
        output = subprocess.run(
            ["tpm2_pcrread", "-T", f"swtpm:host=127.0.0.1,port={self.port}", banks],
            check=True, capture_output=True, text=True, timeout=30).stdout
        found = re.findall(r"(sha\d+):\s+13\s*: 0x([0-9A-F]+)", output)
        return {bank: value.lower() for bank, value in found}

    def expect(self, records: list):
        self.assertEqual(self.pcr_values(), {bank: replay(bank, records) for bank in BANKS})

    def test_pcr_is_the_replay_of_the_records_in_every_bank(self):
        records = [make_record(1, 5), make_record(2, 6, b"console=hvc0"), make_record(3, 7)]
        for number, record in enumerate(records, 1):
            self.assertEqual(self.builder.put(record),
                             (number, PCR, replay("sha256", records[:number]), number))
        self.expect(records)

    def test_replayed_forged_and_revoked_records_extend_nothing(self):
        record = make_record(1, 5)
        self.builder.put(record)
        self.assertEqual(self.builder.put(record)[3], 1)
        with self.assertRaisesRegex(Refused, "another record was accepted"):
            self.builder.put(make_record(1, 5, b"init=/bin/sh"))
        with self.assertRaisesRegex(Refused, "revoke that one first"):
            self.builder.put(make_record(2, 5))
        self.builder.revoke(1)
        with self.assertRaisesRegex(Refused, "it was revoked"):
            self.builder.put(record)
        self.expect([record])

    def test_killed_manager_neither_loses_nor_doubles_a_record(self):
        records = [make_record(serial, serial) for serial in range(1, 9)]
        for number, record in enumerate(records):
            # Killed at another moment each time: before, during or after the extension.
            self.builder.send(2, text(record))
            time.sleep(0.0007 * number)
            self.stop(self.manager, signal.SIGKILL)
            self.builder.socket.close()
            self.start_manager().put(record)
        self.expect(records)

    def test_manager_refuses_to_start_when_somebody_else_extended_the_pcr(self):
        self.builder.put(make_record(1, 5))
        self.stop(self.manager, signal.SIGKILL)
        subprocess.run(["tpm2_pcrextend", "-T", f"swtpm:host=127.0.0.1,port={self.port}",
                        f"{PCR}:sha256={'11' * 32}"], check=True, timeout=30)
        ended = subprocess.run(self.command(), capture_output=True, text=True, timeout=30)
        self.assertEqual(ended.returncode, 1)
        self.assertIn("somebody else extends it or the log was lost", ended.stderr)

    def test_identity_is_what_tpm2_tools_read(self):
        record = make_record(1, 5)
        self.builder.put(record)
        attestation, endorsement, certificate, pcrs = self.builder.identify()
        self.stop(self.manager, signal.SIGKILL)

        def tool(*words):
            return subprocess.run([words[0], "-T", f"swtpm:host=127.0.0.1,port={self.port}", *words[1:]],
                                  check=True, capture_output=True, text=True, timeout=60,
                                  cwd=self.directory).stdout

        # The manager was killed with its key loaded.
        tool("tpm2_flushcontext", "-t")
        tool("tpm2_createprimary", "-c", "ak.ctx", *KEY_TEMPLATE)
        tool("tpm2_readpublic", "-c", "ak.ctx", "-o", "ak.pub")
        tool("tpm2_flushcontext", "-t")
        tool("tpm2_createek", "-c", "ek.ctx", "-G", "ecc", "-u", "ek.pub")
        for name, key in (("ak.pub", attestation), ("ek.pub", endorsement)):
            with open(f"{self.directory}/{name}", "rb") as file:
                self.assertEqual(file.read(), key, name)
        self.assertEqual(certificate, b"")  # a fresh swtpm has none
        found = re.findall(r"(\d+) *: 0x([0-9A-F]{64})", tool("tpm2_pcrread", "sha256:0,1,2,3,4,5,6,7,13"))
        self.assertEqual(pcrs, {int(pcr): value.lower() for pcr, value in found})
        self.assertEqual(pcrs[PCR], replay("sha256", [record]))

    def power_cycle(self):
        """The machine is off and on again: only what the TPM and a disk keep is left."""
        self.stop(self.manager, signal.SIGKILL)
        self.stop(self.swtpm)
        shutil.rmtree(f"{self.directory}/run")
        self.swtpm = self.start_swtpm()

    def refusal(self) -> str:
        """Why the manager does not start."""
        ended = subprocess.run(self.command(), capture_output=True, text=True, timeout=30)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        return ended.stderr

    def test_sealed_keys_outlive_a_power_cycle_and_nothing_else_takes_their_place(self):
        self.stop(self.manager)
        self.key_store = f"directory:{self.directory}"
        file = f"{self.directory}/vtpm-keys"
        self.start_manager()
        self.power_cycle()
        self.start_manager()
        self.power_cycle()
        os.rename(file, f"{self.directory}/kept")
        self.assertIn("they are lost or damaged", self.refusal())
        with open(f"{self.directory}/kept", "rb") as kept, open(file, "wb") as changed:
            content = bytearray(kept.read())
            content[-1] ^= 1
            changed.write(content)
        self.assertIn("somebody changed them", self.refusal())
        with open(file, "wb") as older:
            content[8] -= 1  # the number, little-endian: what an older file would have
            older.write(content)
        self.assertIn("they are older ones", self.refusal())
        os.rename(f"{self.directory}/kept", file)
        self.start_manager()
        self.power_cycle()
        # The machine starts something else: the TPM does not give the key out.
        subprocess.run(["tpm2_pcrextend", "-T", f"swtpm:host=127.0.0.1,port={self.port}",
                        f"4:sha256={'11' * 32}"], check=True, timeout=30)
        self.assertIn("the machine did not start as it did", self.refusal())
        self.power_cycle()
        self.start_manager()

    def nv_indices(self) -> str:
        self.stop(self.manager, signal.SIGKILL)
        return subprocess.run(
            ["tpm2_getcap", "-T", f"swtpm:host=127.0.0.1,port={self.port}", "handles-nv-index"],
            check=True, capture_output=True, text=True, timeout=30).stdout.lower()

    def test_sealed_keys_that_could_not_be_written_at_first_are_begun_again(self):
        counter, mark = "0x1a5111a", "0x1a5111b"
        self.stop(self.manager)
        home = f"{self.directory}/missing"
        self.key_store = f"directory:{home}"
        for _ in range(2):
            self.assertIn("is its directory there", self.refusal())
            self.assertIn(counter, self.nv_indices())
            self.assertIn(mark, self.nv_indices())
        os.mkdir(home)
        self.start_manager()
        self.assertIn(counter, self.nv_indices())
        self.assertNotIn(mark, self.nv_indices())
        self.start_manager()
        self.stop(self.manager)
        os.remove(f"{home}/vtpm-keys")
        self.assertIn("they are lost or damaged", self.refusal())

    def test_another_user_is_not_let_in_and_does_not_disturb(self):
        child = os.fork()
        if child == 0:
            os.setuid(NOBODY)
            intruder = Builder(f"{self.directory}/manager.sock")
            try:
                intruder.hello()
            except (ConnectionError, BrokenPipeError):
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        record = make_record(1, 5)
        self.builder.put(record)
        self.expect([record])


if __name__ == "__main__":
    for program in ("swtpm", "tpm2_pcrread", "tpm2_pcrextend", "tpm2_getcap"):
        if not shutil.which(program):
            print(f"skipped: {program} is not installed (packages swtpm, tpm2-tools)")
            sys.exit(77)
    if os.geteuid() != 0:
        SwtpmTest.test_another_user_is_not_let_in_and_does_not_disturb = unittest.skip(
            "only root can become another user")(lambda self: None)
    unittest.main()
