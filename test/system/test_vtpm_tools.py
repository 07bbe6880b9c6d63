# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's TPM as people's own tools find it: tpm2-tools for a 2.0, TrouSerS and tpm-tools for a 1.2."""

import base64
import hashlib
import io
import secrets
import sys
import tarfile

import fixture
import guests

sys.path.append(str(fixture.ROOT / "examples" / "demo"))
import evidence  # noqa: E402 (needs the path above)
import pcrs  # noqa: E402

MEMORY_MIB = 144  # of guests.command()
BOOT = {"tpm": True, "kernels": ("pv", "tpm-tools")}


def use_tools(machine, vtpm):
    """The lines of a guest that tries its tools."""
    name = "tools" + vtpm.replace(".", "")
    guests.create(machine, name, initrds=("tpm-guest", "tpm-tools"),
                  options=f"--vtpm {vtpm}", memory_mib=256)
    console = guests.await_ready(machine, name)
    guests.destroy(machine, name)
    lines = [line for line in console.splitlines() if line.startswith("guest-tool ")]
    failures = "\n".join(line for line in lines if "FAILS" in line)
    assert not failures, failures + "\n" + console
    return [line.split()[1] for line in lines]


def test_tpm2_tools(machine):
    """tpm2-tools quote, seal to the measurement and keep data; banks and PCRs cannot be taken back."""
    done = use_tools(machine, "2.0")
    assert {"checkquote", "unseal", "nvread", "pcrallocate", "unseal-after-extend"} <= set(done), done


def test_tpm_tools(machine):
    """TrouSerS and tpm-tools use a TPM 1.2, and cannot clear it by physical presence."""
    done = use_tools(machine, "1.2")
    assert {"version", "selftest", "getpubek", "setpresence", "clear"} <= set(done), done


def ask_for_evidence(machine, name, nonce):
    """Types the nonce at a guest's console."""
    # Without a terminal nothing leaves a console but its end, so timeout(1) does.
    machine.toolstack.run(f"(echo attest {nonce}; sleep 4) | timeout 4 ashlar console {name}", 120)


def test_evidence(machine):
    """A guest proves to this host what it was built from, for a nonce of the host's; with a TPM 1.2 it cannot."""
    nonce, other = secrets.token_hex(32), secrets.token_hex(32)
    for name, vtpm in (("proves", "2.0"), ("cannot", "1.2")):
        guests.create(machine, name, initrds=("tpm-guest",), options=f"--vtpm {vtpm}")
    for name in ("proves", "cannot"):
        guests.await_ready(machine, name)
        ask_for_evidence(machine, name, nonce)
    refused = guests.await_console(machine, "cannot", "guest-evidence-fails")
    assert "it is a TPM 1.2, which gives no evidence" in refused, refused
    console = guests.await_console(machine, "proves", "guest-log")
    bundle = evidence.read(console, nonce)
    assert bundle, console
    (fixture.OUT / "proves.bundle").write_bytes(bundle)
    wanted = pcrs.expected("2.0", pcrs.configuration("proves", "pv", MEMORY_MIB, "2.0"),
                           fixture.kernel("6.1-cloud").image.read_bytes(),
                           guests.command_line("proves").encode(),
                           [(fixture.OUT / "images" / "tpm-guest").read_bytes()])["sha256"]
    key = machine.tpm.attestation_key
    assert evidence.check(bundle, nonce, key, wanted) == []
    assert evidence.check(bundle, other, key, wanted), "another nonce was taken"
    assert evidence.check(bundle, nonce, key, wanted | {"9": "00" * 32}), "another guest was taken"
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        log = archive.extractfile("guest.log").read()
        keys = {end: archive.extractfile(f"host.{end}.pub").read() for end in ("ak", "ek")}
    # The toolstack sees the same keys.
    shown = guests.ask(machine, "host")
    assert {end: base64.b64decode(shown[end]["tpm2b_public"]) for end in keys} == keys, shown
    assert shown["ak"]["pem"].encode() == key, shown
    assert f"guest-log {nonce} {hashlib.sha256(log).hexdigest()}" in console, console
    guests.destroy(machine, "proves", "cannot")
