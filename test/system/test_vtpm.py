# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests with vTPMs: each reads in its own TPM what was measured of it, and none runs without its TPM."""

import json
import sys

import fixture
import guests
import steps

sys.path.append(str(fixture.ROOT / "examples" / "demo"))
import pcrs  # noqa: E402 (needs the path above)

# The machine of test_tpm_manager, too: the libraries do nothing until a file or a node asks for it.
BOOT = {"tpm": True, "memory_mib": 5120, "kernels": ("pv", "pvh"),
        "preload": "test/system/fault/ashlar-fault.so",
        "manager_preload": "test/system/fault/ashlar-manager-fault.so"}

MEMORY_MIB = 144  # of guests.command()
VERSION = "2.0"   # where it makes no difference: each start of a TPM 1.2 makes an RSA key, in up to 10 s of the machine


def create(machine, name, vtpm, type="pv", words="", options=""):
    """Has a guest with a vTPM built; gives the answer."""
    return guests.create(machine, name, type=type, kernel=type, initrds=("tpm-guest",), words=words,
                         options=f"--vtpm {vtpm} {options}")


def files(type):
    """The bytes of the kernel and the initrd of such a guest."""
    kernel = {"pv": "6.1-cloud", "pvh": "6.12-cloud"}[type]
    return (fixture.kernel(kernel).image.read_bytes(),
            (fixture.OUT / "images" / "tpm-guest").read_bytes())


def assert_pcrs(machine, name, vtpm, type, words=""):
    """The guest's TPM holds what the files and docs/measurements.md say."""
    kernel, initrd = files(type)
    console = guests.await_ready(machine, name)
    expected = pcrs.expected(vtpm, pcrs.configuration(name, type, MEMORY_MIB, vtpm), kernel,
                             guests.command_line(name, words).encode(), [initrd])
    found = pcrs.read(console, "uapi")
    assert found == expected, (found, expected, console)
    assert f"guest-tpm {vtpm[0]}" in console, console


def host(machine):
    """What `ashlar host` says."""
    return guests.ask(machine, "host")


def vtpm_domid(machine, name):
    """The domain of a guest's vTPM."""
    return guests.ask(machine, f"info {name}")["vtpm"]["domid"]


def refusal(machine, name, vtpm=VERSION):
    """The error of a guest with a vTPM that must not come to be."""
    return guests.fail(machine, guests.command(
        name, initrds=("tpm-guest",), options=f"--vtpm {vtpm}").removeprefix("ashlar "), 1)


def test_versions(machine):
    """PV and PVH guests with a TPM 1.2 or 2.0 read their own values, which the files give."""
    guests_of = {"pv12": ("1.2", "pv"), "pvh20": ("2.0", "pvh"), "pv20": ("2.0", "pv")}
    before = host(machine)
    for name, (vtpm, type) in guests_of.items():
        create(machine, name, vtpm, type)
    for name, (vtpm, type) in guests_of.items():
        assert_pcrs(machine, name, vtpm, type)
    after = host(machine)
    # Each guest and each vTPM; more when the emulator made a guest start twice.
    assert after["log_events"] >= before["log_events"] + 2 * len(guests_of), (before, after)
    assert after["pcr"] == before["pcr"] == 13 and after["sha256"] != before["sha256"]
    guests.destroy(machine, *guests_of)


def test_starts_of_one_guest(machine):
    """Each start of a guest has a vTPM of its own with the values of that start, and ends with its vTPM's domain."""
    create(machine, "again", VERSION)
    assert_pcrs(machine, "again", VERSION, "pv")
    first = vtpm_domid(machine, "again")
    machine.toolstack.check("ashlar reboot again", 60)
    guests.await_console(machine, "again", "guest-ready again", 2)
    assert_pcrs(machine, "again", VERSION, "pv")
    assert vtpm_domid(machine, "again") != first
    guests.destroy(machine, "again")
    create(machine, "again", VERSION, words="panic=1")
    assert_pcrs(machine, "again", VERSION, "pv", "panic=1")
    machine.dom0.check(f"xl destroy {vtpm_domid(machine, 'again')}", 60)
    guests.await_gone(machine, "again")
    assert "(again) has lost its vTPM" in machine.log_text()


def test_vtpm_dies_early(machine):
    """When the vTPM's domain is destroyed before it has reported, there is no guest, and the requester hears why."""
    machine.dom0.check(
        "(while ! d=$(xl list | awk '/^vtpm-/ {print $2}') || [ -z \"$d\" ]; do sleep 0.05; done; "
        "xl destroy $d) >/dev/null 2>&1 &")
    error = refusal(machine, "early")
    assert "vTPM" in error["message"], error
    assert guests.fail(machine, "info early", 1)["code"] == "not_found"


def test_builder_restart(machine):
    """Guest and vTPM outlive a killed builder, and no record is lost or extended twice."""
    create(machine, "stays", VERSION)
    guests.await_ready(machine, "stays")
    before, vtpm = host(machine), vtpm_domid(machine, "stays")
    old = steps.builder(machine)
    machine.dom0.check(f"kill -9 {old}")
    steps.await_successor(machine, old)
    machine.toolstack.wait_for("ashlar host", 60)
    assert host(machine) == before
    assert vtpm_domid(machine, "stays") == vtpm
    create(machine, "next", VERSION)
    assert_pcrs(machine, "next", VERSION, "pv")
    assert host(machine)["log_events"] == before["log_events"] + 2
    guests.destroy(machine, "stays", "next")


def test_builder_killed_meanwhile(machine):
    """When the builder is killed while a vTPM starts, neither guest nor vTPM is left."""
    old = steps.builder(machine)
    machine.dom0.check(
        "(while ! xl list | grep -q ^vtpm-; do sleep 0.05; done; "
        f"kill -9 {old}) >/dev/null 2>&1 &")
    status, output = machine.toolstack.run(guests.command(
        "half", initrds=("tpm-guest",), options="--vtpm 1.2 --json"), guests.BUILD_SECONDS)
    assert status == 4, (status, output)
    steps.await_successor(machine, old)
    guests.await_gone(machine, "half")
    create(machine, "half", VERSION, options="--paused")
    guests.destroy(machine, "half")


def test_manager_is_the_builders(machine):
    """The toolstack domain can neither read nor write where the TPM Manager takes its records."""
    manager = machine.dom0.check("xl domid tpm-manager").strip()
    base = f"/local/domain/{manager}/data/ashlar/tpm-manager"
    assert machine.dom0.run(f"xenstore-list {base}")[0] == 0
    permissions = machine.dom0.check(f"xenstore-ls -p {base}")
    toolstack = guests.ask(machine, "version")["domid"]
    for line in permissions.splitlines():
        allowed = line.rpartition("(")[2].rstrip(")").split(",")
        assert all(entry[1:] in (manager, "0") or entry[0] == "n" for entry in allowed), line
    assert f"{toolstack}" not in machine.dom0.check("xl list tpm-manager").split()[0]


def test_manager_silent(machine):
    """While the TPM Manager does not answer no guest comes to be, and the requester hears why."""
    machine.dom0.check("xl pause tpm-manager")
    try:
        error = refusal(machine, "unrecorded")
        assert "TPM Manager" in error["message"], error
        assert guests.fail(machine, "info unrecorded", 1)["code"] == "not_found"
    finally:
        machine.dom0.check("xl unpause tpm-manager")
    machine.toolstack.wait_for("ashlar host", 60)
    before = host(machine)
    create(machine, "recorded", VERSION, options="--paused")
    # More when the one that was refused has arrived meanwhile.
    assert host(machine)["log_events"] >= before["log_events"] + 2
    guests.destroy(machine, "recorded")


def test_tpm_dies(machine):
    """When the hardware TPM fails, no guest comes to be, and the requester hears why."""
    machine.tpm.kill()
    error = refusal(machine, "unextended")
    assert "TPM" in error["message"], json.dumps(error)
    assert guests.fail(machine, "info unextended", 1)["code"] == "not_found"


test_tpm_dies.changes_state = True


def test_manager_dies(machine):
    """Without the TPM Manager the machine powers off: nothing could be recorded any more."""
    machine.dom0.run("xl destroy tpm-manager", 60)
    machine.wait_off(120)


test_manager_dies.ends_machine = True
