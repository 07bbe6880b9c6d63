# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's evidence, checked with hashlib and tpm2_checkquote alone: docs/attestation.md by hand."""

import base64
import gzip
import hashlib
import io
import struct
import subprocess
import tarfile
import tempfile
from pathlib import Path

NONCE_BYTES = 32


def read(console, nonce):
    """The bundle that a guest printed for this nonce, or nothing."""
    for line in console.splitlines():
        words = line.split()
        if words[:2] == ["guest-evidence", nonce] and len(words) == 3:
            return gzip.decompress(base64.b64decode(words[2]))
    return None


def _sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def _quoted(attest):
    """What a TPMS_ATTEST of a quote says: its extraData, its PCRs and their digest."""
    if attest[:6] != b"\xffTCG\x80\x18":
        raise ValueError("it is no quote")
    at = 8 + struct.unpack_from(">H", attest, 6)[0]       # after the signer's name
    size = struct.unpack_from(">H", attest, at)[0]
    extra = attest[at + 2:at + 2 + size]
    at += 2 + size + 17 + 8                               # clock, firmware version
    count, algorithm, length = struct.unpack_from(">IHB", attest, at)
    if (count, algorithm, length) != (1, 0x000b, 3):
        raise ValueError("it is not over the SHA-256 bank alone")
    bits = int.from_bytes(attest[at + 7:at + 10], "little")
    digest = attest[at + 12:at + 12 + 32]
    return extra, [pcr for pcr in range(24) if bits >> pcr & 1], digest


def _pcrs(text):
    lines = [line.split() for line in text.decode("ascii").splitlines()]
    return {int(name.removeprefix("sha256:")): bytes.fromhex(value) for name, value in lines}


def _signed(files, end, key, extra):
    """Does tpm2_checkquote take this end's quote?"""
    with tempfile.TemporaryDirectory(prefix="ashlar-evidence-") as folder:
        for name in ("quote.msg", "quote.sig"):
            (Path(folder) / name).write_bytes(files[f"{end}.{name}"])
        (Path(folder) / "key").write_bytes(key)
        return subprocess.run(
            ["tpm2_checkquote", "-u", "key", "-m", "quote.msg", "-s", "quote.sig", "-g", "sha256",
             "-q", extra.hex()], cwd=folder, check=False, capture_output=True).returncode == 0


def check(bundle, nonce, host_key, guest_pcrs):
    """What is wrong with a bundle, a line each; none: it proves that a guest with these PCRs, {number:
    hexadecimal value}, runs now on the machine with this key (PEM), and was asked with this nonce."""
    with tarfile.open(fileobj=io.BytesIO(bundle), mode="r:") as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    log = files["host.log"]
    events = [log[at:at + 32] for at in range(0, len(log), 32)]
    pcr = bytes(32)
    for event in events:
        pcr = _sha256(pcr, event)
    host, guest = _pcrs(files["host.pcrs"]), _pcrs(files["guest.pcrs"])
    bound = _sha256(b"ashlar-guest-quote-2\0", bytes.fromhex(nonce), _sha256(files["record"]),
                    _sha256(files["guest.ak.pub"]), _sha256(log))
    wanted = {int(number): bytes.fromhex(value) for number, value in guest_pcrs.items()}
    checks = {
        "the host's log adds up to the host PCR": host.get(13) == pcr,
        "the guest's record is in the host's log": _sha256(files["record"]) in events,
        "the machine's TPM signed the host's quote": _signed(files, "host", host_key, bound),
        "the host's quote is bound to nonce, record, key and log":
            _quoted(files["host.quote.msg"]) ==
            (bound, [0, 1, 2, 3, 4, 5, 6, 7, 13], _sha256(*host.values())),
        "the guest's key signed its quote":
            _signed(files, "guest", files["guest.ak.pub"], bytes.fromhex(nonce)),
        "the guest's quote is over its PCRs, with the nonce":
            _quoted(files["guest.quote.msg"]) ==
            (bytes.fromhex(nonce), sorted(wanted), _sha256(*guest.values())),
        "the guest's PCRs are those of the files": guest == wanted,
    }
    return [f"not so: {what}" for what, holds in checks.items() if not holds]
