# SPDX-License-Identifier: LGPL-2.1-or-later
"""The builder as a service of an ordinary domain 0: systemd runs the unit of examples/systemd/."""

from pathlib import Path

import guests
import steps
from appliance import xen

HERE = Path(__file__).resolve().parent
SERVICE = HERE.parent.parent / "examples" / "systemd" / "ashlar-builder.service.in"
SYSTEMD = Path("/lib/systemd/systemd")
# Targets that every service orders itself by.
TARGETS = ("basic", "sysinit", "shutdown", "umount", "final", "slices", "sockets", "paths", "timers")


def units():
    """The unit files of the machine: ours and the targets of the host's systemd."""
    files = {"/etc/machine-id": "0123456789abcdef0123456789abcdef\n"}
    files["/etc/systemd/system/ashlar-builder.service"] = SERVICE.read_text().replace("@sbindir@", "/usr/sbin")
    for file in sorted((HERE / "systemd").iterdir()):
        files[f"/etc/systemd/system/{file.name}"] = file.read_text().replace("@xen_programs@", str(xen.PROGRAMS))
    for name in TARGETS:
        files[f"/usr/lib/systemd/system/{name}.target"] = SYSTEMD.parent / "system" / f"{name}.target"
    return files


# The other xenstored than the appliance's: an ordinary domain 0 may have either. As on Debian, its daemons are one unit, xen.service.
XENSTORED = str(xen.PROGRAMS / "xenstored")
BOOT = {"kernels": ("pv",), "files": units(), "programs": (SYSTEMD, "/bin/systemctl", XENSTORED),
        "dom0_arguments": f"rdinit={SYSTEMD} systemd.unit=ashlar.target systemd.show_status=false"}


def test_runs(machine):
    """systemd runs the builder from the example's unit, and root in domain 0 reaches it by its socket."""
    assert machine.dom0.check("cat /proc/1/comm").strip() == "systemd"
    assert machine.dom0.check("systemctl is-active ashlar-builder").strip() == "active"
    output = machine.dom0.check("ashlar version --json")
    assert '"unix"' in output, output
    steps.create(machine, "first")
    assert "first" in machine.toolstack.check("ashlar list", 60)
    steps.destroy(machine, "first")


def test_confined(machine):
    """The unit's confinement is in force, and leaves the builder the terminal of a guest's console."""
    status = machine.dom0.check(f"cat /proc/{steps.builder(machine)}/status")
    assert "Seccomp:\t2" in status, status
    steps.create(machine, "talks", paused=False)
    guests.await_ready(machine, "talks")
    _, output = machine.toolstack.run("(echo typed-here; sleep 8) | timeout 8 ashlar console talks", 120)
    assert "guest-ready talks" in output, output
    guests.await_console(machine, "talks", "typed-here")
    steps.destroy(machine, "talks")


def test_killed(machine):
    """A killed builder is started anew, with the images from systemd's descriptor store and its guests."""
    steps.create(machine, "lives")
    held = machine.toolstack.check("ashlar images --json", 60)
    old = steps.builder(machine)
    machine.dom0.check(f"kill -KILL {old}")
    steps.await_successor(machine, old)
    assert machine.toolstack.check("ashlar images --json", 60) == held
    assert "lives" in machine.toolstack.check("ashlar list", 60)
    steps.destroy(machine, "lives")


def test_reload(machine):
    """systemctl reload makes the builder read its policy again: the process stays, a bad policy changes nothing."""
    old = steps.builder(machine)
    machine.dom0.check("echo 'nonsense = 1' >/etc/ashlar/policy.d/99-bad.toml; systemctl reload ashlar-builder")
    machine.dom0.wait_for("ashlar policy show 2>&1 | grep -i 99-bad.toml", 60)
    machine.dom0.check("rm /etc/ashlar/policy.d/99-bad.toml; systemctl reload ashlar-builder")
    machine.dom0.wait_for("! ashlar policy show 2>&1 | grep -i 99-bad.toml", 60)
    assert steps.builder(machine) == old
    steps.create(machine, "after")
    steps.destroy(machine, "after")
