# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kernels in the forms that take seconds to unpack: bzip2, lzma and xz."""

import guests

FORMS = ("bzip2", "lzma", "xz")
BOOT = {"kernels": tuple(f"payload-{form}" for form in FORMS)}


def test_slow_payloads(machine):
    """Guests are built from bzip2, lzma and xz payloads, and what was compressed is measured."""
    for form in FORMS:
        guests.create(machine, form, kernel=f"payload-{form}", options="--paused")
        guests.assert_measured(machine, form, f"payload-{form}")
        guests.destroy(machine, form)
