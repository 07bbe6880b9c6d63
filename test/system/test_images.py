# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels in every form: each payload compression and a plain ELF, and one that is cut short."""

import guests

COMPRESSIONS = ("gzip", "bzip2", "lzma", "xz", "lz4", "zstd")
BOOT = {"kernels": (*(f"payload-{name}" for name in ("elf", *COMPRESSIONS)), "truncated")}

BOOTED = {"elf": "pv", "lz4": "pv", "zstd": "pv", "gzip": "pvh"}


def assert_measured(machine, name, image):
    """The digests that are shown for a guest's kernel are those of the file that was sent."""
    shown = guests.ask(machine, f"info {name}")["kernel"]
    event = next(event for event in guests.ask(machine, f"measurement {name}")["events"]
                 if event["type"] == "kernel")
    for bank in ("sha1", "sha256"):
        digest = machine.toolstack.check(f"{bank}sum /images/{image}", 60).split()[0]
        assert digest == shown[bank] == event[bank], (image, bank, digest, shown, event)


def test_boots(machine):
    """Guests boot from a plain ELF and from lz4, zstd and gzip payloads."""
    for form, type_ in BOOTED.items():
        guests.create(machine, form, type=type_, kernel=f"payload-{form}")
    for form in BOOTED:
        guests.await_ready(machine, form)
        assert_measured(machine, form, f"payload-{form}")
    guests.destroy(machine, *BOOTED)


def test_slow_payloads(machine):
    """Guests are built from bzip2, lzma and xz payloads, and what was compressed is measured."""
    for form in ("bzip2", "lzma", "xz"):
        guests.create(machine, form, kernel=f"payload-{form}", options="--paused")
        assert_measured(machine, form, f"payload-{form}")
        guests.destroy(machine, form)


def test_truncated(machine):
    """An approved kernel that is cut short is refused by a named check of the inspector."""
    error = guests.fail(machine, "create --name cut --type pv --kernel /images/truncated "
                                 "--cmdline console=hvc0", 1)
    assert error["kind"] == "failed" and "bzImage" in error["item"], error
    assert "do not lie within the file (2000000 bytes)" in error["check"], error
    assert guests.fail(machine, "info cut", 1)["code"] == "not_found"
