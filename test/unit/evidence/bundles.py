#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes evidence bundles with real TPMs (swtpm) and none of Ashlar's code but `ashlar measure`: the
record, the host's log and the manager's statement are computed here, from the documents alone.

Usage: bundles.py PATH/ashlar FOLDER    writes the bundles and references that the tests read
"""

import hashlib
import io
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import uuid

BANKS = ("sha1", "sha256", "sha384")
HOST_PCR = 13
STATEMENT = b"ashlar-guest-quote-2\0"
NONCE = hashlib.sha256(b"a verifier's challenge").digest()
OLD_NONCE = hashlib.sha256(b"yesterday's challenge").digest()
PROFILES = {"uapi": {"configuration": 12, "kernel": 11, "command_line": 12, "initrd": 9},
            "grub": {"configuration": 8, "kernel": 9, "command_line": 8, "initrd": 9}}
TYPES = {"builder": 1, "policy": 2, "configuration": 3, "kernel": 4, "command_line": 5, "initrd": 6}


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stdout.decode()} {done.stderr.decode()}")
    return done.stdout


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Tpm:
    """One swtpm with an endorsement and an attestation key."""

    count = 0

    def __init__(self, folder: str, algorithm: str):
        Tpm.count += 1
        self.folder = os.path.join(folder, f"tpm{Tpm.count}")
        os.mkdir(self.folder)
        self.start()
        self.environment = {**os.environ, "TPM2TOOLS_TCTI":
                            f"swtpm:host=127.0.0.1,port={self.port}"}
        scheme = {"rsa": "rsassa", "ecc": "ecdsa"}[algorithm]
        self.tool("createek", "-c", "ek.ctx", "-G", algorithm, "-u", "ek.pub")
        self.tool("flushcontext", "-t")
        self.tool("createak", "-C", "ek.ctx", "-c", "ak.ctx", "-G", algorithm, "-g", "sha256", "-s",
                  scheme, "-u", "ak.pub", "-n", "ak.name")
        self.tool("flushcontext", "-t")
        self.tool("readpublic", "-c", "ak.ctx", "-f", "pem", "-o", "ak.pem")
        self.tool("flushcontext", "-t")

    def start(self) -> None:
        for attempt in range(20):
            self.port = 22000 + (os.getpid() * 7 + Tpm.count * 31 + attempt * 1009) % 20000
            self.process = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}",
                 "--server", f"type=tcp,port={self.port},bindaddr=127.0.0.1",
                 "--ctrl", f"type=tcp,port={self.port + 1},bindaddr=127.0.0.1",
                 "--flags", "not-need-init,startup-clear"], stderr=subprocess.DEVNULL)
            end = time.monotonic() + 20
            while time.monotonic() < end and self.process.poll() is None:
                if self.listening():
                    return
                time.sleep(0.05)
            self.stop()
        raise RuntimeError("swtpm found no free pair of ports")

    def listening(self) -> bool:
        with open("/proc/net/tcp", encoding="ascii") as table:
            wanted = f"0100007F:{self.port + 1:04X}"
            return any(line.split()[1] == wanted and line.split()[3] == "0A"
                       for line in table.readlines()[1:])

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)

    def tool(self, name: str, *arguments: str) -> bytes:
        return run("tpm2_" + name, *arguments, cwd=self.folder, env=self.environment)

    def file(self, name: str) -> bytes:
        with open(os.path.join(self.folder, name), "rb") as stream:
            return stream.read()

    def extend(self, pcr: int, data: bytes) -> None:
        digests = ",".join(f"{bank}={hashlib.new(bank, data).hexdigest()}" for bank in BANKS)
        self.tool("pcrextend", f"{pcr}:{digests}")

    def quote(self, pcrs: list, extra: bytes) -> tuple:
        """The attestation, the signature and the values as a bundle has them."""
        selection = "sha256:" + ",".join(str(pcr) for pcr in pcrs)
        self.tool("quote", "-c", "ak.ctx", "-l", selection, "-q", extra.hex(), "-g", "sha256",
                  "-m", "quote.msg", "-s", "quote.sig")
        self.tool("flushcontext", "-t")
        self.tool("pcrread", selection, "-o", "values")
        values = self.file("values")
        lines = [f"sha256:{pcr} {values[32 * at:32 * at + 32].hex()}\n"
                 for at, pcr in enumerate(pcrs)]
        return self.file("quote.msg"), self.file("quote.sig"), "".join(lines).encode()


class Guest:
    """What a guest is built from, and its record as docs/measurements.md lays it out."""

    def __init__(self, name: str, serial: int, profile: str = "uapi"):
        self.name = name
        self.profile = profile
        self.serial = serial
        self.uuid = uuid.uuid5(uuid.NAMESPACE_DNS, name)
        self.command_line = b"console=hvc0"
        self.kernel = b"kernel bytes"
        self.initrd = b"one"
        configuration = (f"ashlar-domain-configuration=2\nname={name}\ntype=pvh\nvcpus=1\n"
                         "memory_kib=1024\nmax_memory_kib=1024\non_poweroff=destroy\n"
                         "on_reboot=restart\non_crash=destroy\nvtpm=2.0\n")
        self.events = [("builder", b"", b"ashlar-builder 0.1.0"), ("policy", b"", b"a" * 64),
                       ("configuration", b"", configuration.encode()),
                       ("kernel", b"vmlinuz", self.kernel),
                       ("command_line", b"", self.command_line), ("initrd", b"initrd", self.initrd)]

    def record(self) -> bytes:
        def text(value: bytes) -> bytes:
            return struct.pack("<I", len(value)) + value

        out = b"ASHR" + struct.pack("<IQI", 1, self.serial, self.serial + 4) + self.uuid.bytes
        out += text(b"toolstack") + struct.pack("<I", len(self.events))
        for kind, label, data in self.events:
            kept = b"" if kind in ("kernel", "initrd") else data
            out += bytes([TYPES[kind]]) + text(label) + text(kept) + struct.pack("<Q", len(data))
            out += b"".join(hashlib.new(bank, data).digest() for bank in BANKS)
        return out

    def extend(self, vtpm: Tpm, without: str = "") -> None:
        pcrs = PROFILES[self.profile]
        for kind, _, data in self.events:
            if kind in pcrs and kind != without:
                vtpm.extend(pcrs[kind], data)


class Host:
    """A machine: its firmware's PCRs, and the TPM Manager's log."""

    def __init__(self, tpm: Tpm):
        self.tpm = tpm
        self.log = b""
        for pcr in range(8):
            tpm.extend(pcr, b"firmware %d" % pcr)

    def build(self, guest: Guest) -> None:
        self.tpm.extend(HOST_PCR, guest.record())
        self.log += sha256(guest.record())

    def evidence(self, guest: Guest, vtpm: Tpm, guest_log: bytes, nonce: bytes = NONCE) -> dict:
        """The files of a bundle. The manager says what it knows: this guest, this vTPM."""
        key = vtpm.file("ak.pub")
        statement = sha256(STATEMENT + nonce + sha256(guest.record()) + sha256(key) +
                           sha256(self.log))
        message, signature, values = self.tpm.quote([*range(8), HOST_PCR], statement)
        guest_message, guest_signature, guest_values = vtpm.quote(
            sorted(set(PROFILES[guest.profile].values())), nonce)
        manifest = (f"ashlar-evidence=1\nnonce={nonce.hex()}\nprofile={guest.profile}\n"
                    "vtpm=2.0\n")
        return {"manifest": manifest.encode(), "record": guest.record(), "host.log": self.log,
                "host.quote.msg": message, "host.quote.sig": signature,
                "host.ak.pub": self.tpm.file("ak.pub"), "host.pcrs": values,
                "host.ek.pub": self.tpm.file("ek.pub"),
                "host.ek.crt": self.certificate(), "guest.quote.msg": guest_message,
                "guest.quote.sig": guest_signature, "guest.ak.pub": key,
                "guest.pcrs": guest_values, "guest.log": guest_log}

    def certificate(self) -> bytes:
        """Of the endorsement key, by a manufacturer that is nobody."""
        folder = self.tpm.folder
        if not os.path.exists(os.path.join(folder, "ek.crt")):
            with open(os.path.join(folder, "ek.pem"), "wb") as stream:
                stream.write(self.tpm.tool("print", "-t", "TPM2B_PUBLIC", "-f", "pem", "ek.pub"))
            make_signer(folder, "manufacturer")
            run("openssl", "x509", "-new", "-force_pubkey", "ek.pem", "-CA", "manufacturer.pem",
                "-CAkey", "manufacturer.key", "-subj", "/CN=a TPM", "-days", "36500", "-outform",
                "DER", "-out", "ek.crt", cwd=folder)
        return self.tpm.file("ek.crt")


def make_signer(folder: str, name: str) -> None:
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", "36500", "-subj", f"/CN={name}",
        cwd=folder)


def sign(folder: str, signer: str, file: str, into: str, *options: str) -> None:
    run("openssl", "cms", "-sign", "-binary", "-outform", "DER", "-in", file, "-signer",
        f"{signer}.pem", "-inkey", f"{signer}.key", "-out", into, *options, cwd=folder)


def archive(files: dict) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


def write(path: str, content: bytes) -> None:
    with open(path, "wb") as stream:
        stream.write(content)


def measure(ashlar: str, folder: str, guest: Guest, *options: str) -> None:
    write(os.path.join(folder, "vmlinuz"), guest.kernel)
    write(os.path.join(folder, "initrd"), guest.initrd)
    run(ashlar, "measure", "--name", guest.name, "--memory", "1024K", "--vtpm", "2.0", "--kernel",
        "vmlinuz", "--initrd", "initrd", "--cmdline", guest.command_line.decode(),
        "--profile", guest.profile, *options, cwd=folder)


def log_of(ashlar: str, folder: str, guest: Guest) -> bytes:
    measure(ashlar, folder, guest, "-o", "guest.log")
    with open(os.path.join(folder, "guest.log"), "rb") as stream:
        return stream.read()


def write_references(ashlar: str, work: str, out: str, host: Host, guest: Guest) -> None:
    folder = os.path.join(out, "reference")
    os.makedirs(folder, exist_ok=True)
    for signer in ("signer", "stranger"):
        make_signer(work, signer)
    measure(ashlar, work, guest, "--manifest", "web.manifest")
    sign(work, "signer", "web.manifest", "web.manifest.cms")
    sign(work, "stranger", "web.manifest", "stranger.cms")
    sign(work, "signer", "web.manifest", "attached.cms", "-nodetach")
    sign(work, "signer", "web.manifest", "sha1.cms", "-md", "sha1")
    run("openssl", "crl2pkcs7", "-nocrl", "-certfile", "signer.pem", "-outform", "DER", "-out",
        "nobody.cms", cwd=work)
    for name in ("web.manifest", "web.manifest.cms"):
        shutil.copy(os.path.join(work, name), folder)
    measure(ashlar, work, Guest(guest.name, 0, "grub"), "--manifest", "grub.manifest")
    sign(work, "signer", "grub.manifest", "grub.manifest.cms")
    for name in ("stranger.cms", "attached.cms", "sha1.cms", "nobody.cms", "grub.manifest",
                 "grub.manifest.cms"):
        shutil.copy(os.path.join(work, name), out)
    shutil.copy(os.path.join(work, "signer.pem"), os.path.join(folder, "signers.pem"))
    write(os.path.join(folder, "host-ak.pem"), host.tpm.file("ak.pem"))
    _, _, values = host.tpm.quote(list(range(8)), NONCE)
    write(os.path.join(folder, "host.pcrs"), values)


def make(ashlar: str, out: str) -> None:
    """Two hosts; on the first, web, mail, and web again after it was destroyed."""
    work = tempfile.mkdtemp(prefix="ashlar-bundles-")
    tpms = []

    def tpm(algorithm: str) -> Tpm:
        tpms.append(Tpm(work, algorithm))
        return tpms[-1]

    def keep(name: str, files: dict) -> None:
        write(os.path.join(out, name + ".bundle"), archive(files))

    try:
        host, other_host = Host(tpm("rsa")), Host(tpm("ecc"))
        web, mail, again = Guest("web-1", 2), Guest("mail", 3), Guest("web-1", 4)
        grub = Guest("web-1", 5, "grub")
        vtpms = {guest: tpm("ecc") for guest in (web, mail, again, grub)}
        hollow = tpm("rsa")
        for guest, vtpm in vtpms.items():
            guest.extend(vtpm)
        web.extend(hollow, without="kernel")
        log = log_of(ashlar, work, web)
        write_references(ashlar, work, out, host, web)
        write(os.path.join(out, "nonce"), NONCE.hex().encode() + b"\n")
        for name, one in (("maker", host), ("other-maker", other_host)):
            one.certificate()
            shutil.copy(os.path.join(one.tpm.folder, "manufacturer.pem"),
                        os.path.join(out, f"{name}.pem"))
        host.build(Guest("vtpm-web", 1))
        host.build(web)
        other_host.build(web)
        keep("web", host.evidence(web, vtpms[web], log))
        keep("old", host.evidence(web, vtpms[web], log, OLD_NONCE))
        keep("other-host", other_host.evidence(web, vtpms[web], log))
        keep("empty-pcr", host.evidence(web, hollow, log))
        host.build(mail)
        keep("other-guest", host.evidence(mail, vtpms[mail], log_of(ashlar, work, mail)))
        host.build(again)
        keep("rebuilt", host.evidence(again, vtpms[again], log))
        host.build(grub)
        keep("grub", host.evidence(grub, vtpms[grub], log_of(ashlar, work, grub)))
        vtpms[again].extend(11, b"more")
        keep("extended-pcr", host.evidence(again, vtpms[again], log))
    finally:
        for one in tpms:
            one.stop()
        shutil.rmtree(work)


if __name__ == "__main__":
    make(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]))
