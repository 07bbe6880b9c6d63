# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine whose TPM Manager lets in vTPMs of another kernel than the builder takes."""

import guests
import test_vtpm

BOOT = {"tpm": True, "approved_vtpm": "pvh", "kernels": ("pv",)}


def test_unapproved(machine):
    """A vTPM of a kernel that the TPM Manager was not told of gets nothing, and there is no guest."""
    for vtpm in ("1.2", "2.0"):
        message = test_vtpm.refusal(machine, "foreign", vtpm)["message"]
        assert "vTPM" in message and "approved" in message, message
        assert guests.fail(machine, "info foreign", 1)["code"] == "not_found"
    guests.create(machine, "plain")  # guests without a vTPM do not need it
    guests.await_ready(machine, "plain")
    guests.destroy(machine, "plain")
