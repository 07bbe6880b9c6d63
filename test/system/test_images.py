# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels in the forms that are unpacked fast: plain ELF, lz4, zstd, gzip; and one that is cut short."""

import guests

BOOTED = {"elf": "pv", "lz4": "pv", "zstd": "pv", "gzip": "pvh"}
BOOT = {"kernels": (*(f"payload-{form}" for form in BOOTED), "truncated")}


def test_boots(machine):
    """Guests boot from a plain ELF and from lz4, zstd and gzip payloads."""
    for form, type_ in BOOTED.items():
        guests.create(machine, form, type=type_, kernel=f"payload-{form}")
    for form in BOOTED:
        guests.await_ready(machine, form)
        guests.assert_measured(machine, form, f"payload-{form}")
    guests.destroy(machine, *BOOTED)


def test_truncated(machine):
    """An approved kernel that is cut short is refused by a named check of the inspector."""
    error = guests.fail(machine, "create --name cut --type pv --kernel /images/truncated "
                                 "--cmdline console=hvc0", 1)
    assert error["kind"] == "failed" and "bzImage" in error["item"], error
    assert "do not lie within the file (2000000 bytes)" in error["check"], error
    assert guests.fail(machine, "info cut", 1)["code"] == "not_found"
