# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `ashlar measure` predicts from files is what the builder records when it builds from them."""

import json

GUESTS = {
    "pv": "--name predicted-pv --type pv --kernel /images/pv --initrd /images/guest --initrd /images/extra-1 "
          "--memory 128 --cmdline 'console=hvc0 quiet guest_name=predicted'",
    "pvh": "--name predicted-pvh --kernel /images/pvh --memory 192 --vcpus 2 --cmdline console=hvc0 "
           "--on-poweroff preserve --on-reboot destroy --on-crash restart",
}


def compare(machine, guest):
    """Predicts, builds, and compares every event and every PCR of each profile."""
    flags = GUESTS[guest]
    builder = json.loads(machine.toolstack.check("ashlar version --json", 60))["builder"]
    machine.toolstack.check(f"ashlar create --paused {flags}", 120)
    try:
        for profile in ("uapi", "grub", "pv-grub"):
            predicted = json.loads(machine.toolstack.check(
                f"ashlar measure --json --profile {profile} --builder '{builder}' {flags}", 120))
            record = json.loads(machine.toolstack.check(
                f"ashlar measurement predicted-{guest} --json --profile {profile}", 60))
            built = [event for event in record["events"] if event["type"] != "policy"]
            assert predicted["events"] == built, (predicted["events"], built)
            assert predicted["pcrs"] and predicted["pcrs"] == record["pcrs"], (predicted, record)
    finally:
        machine.toolstack.check(f"ashlar destroy predicted-{guest}", 60)
    return predicted


def test_pv_guest_with_initrds(machine):
    """A PV guest with two initrds is recorded as predicted."""
    types = [event["type"] for event in compare(machine, "pv")["events"]]
    assert types == ["builder", "configuration", "kernel", "command_line", "initrd", "initrd"], types


def test_pvh_guest_without_initrd(machine):
    """A PVH guest without an initrd, with settings of its own, is recorded as predicted."""
    types = [event["type"] for event in compare(machine, "pvh")["events"]]
    assert types == ["builder", "configuration", "kernel", "command_line", "no_initrd"], types
