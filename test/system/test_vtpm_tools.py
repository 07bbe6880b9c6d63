# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's TPM as people's own tools find it: tpm2-tools for a 2.0, TrouSerS and tpm-tools for a 1.2."""

import guests

BOOT = {"tpm": True, "kernels": ("pv", "tpm-tools")}


def use_tools(machine, vtpm):
    """The lines of a guest that tries its tools."""
    name = "tools" + vtpm.replace(".", "")
    guests.create(machine, name, initrds=("tpm-guest", "tpm-tools"),
                  options=f"--vtpm {vtpm}", memory_mib=256)
    console = guests.await_ready(machine, name)
    guests.destroy(machine, name)
    lines = [line for line in console.splitlines() if line.startswith("guest-tool ")]
    assert "FAILS" not in "".join(lines), console
    return [line.split()[1] for line in lines]


def test_tpm2_tools(machine):
    """tpm2-tools quote, seal to the measurement and keep data; banks and PCRs cannot be taken back."""
    done = use_tools(machine, "2.0")
    assert {"checkquote", "unseal", "nvread", "pcrallocate", "unseal-after-extend"} <= set(done), done


def test_tpm_tools(machine):
    """TrouSerS and tpm-tools use a TPM 1.2, and cannot clear it by physical presence."""
    done = use_tools(machine, "1.2")
    assert {"version", "selftest", "getpubek", "setpresence", "clear"} <= set(done), done
