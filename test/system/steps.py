# SPDX-License-Identifier: LGPL-2.1-or-later
"""Steps that the tests of failures, hostility and restarts share."""

import json
import time

import guests

SETTLE_SECONDS = 20


def create_command(name, type="pv", kernel="pv", paused=True):
    """The command for a small guest of the toolstack domain; errors come as JSON.

    `kernel` is a name below /images, or sha256:DIGEST of what the builder holds: that is not hashed again first.
    """
    image = kernel if kernel.startswith("sha256:") else f"/images/{kernel}"
    return (f"ashlar --timeout 60 create --name {name} --type {type} --kernel {image} "
            f"--initrd /images/guest --memory 128 --vcpus 1 --json {'--paused ' * paused}"
            f"--cmdline '{guests.command_line(name)}'")


def create(machine, name, **options):
    """Has a guest built."""
    machine.toolstack.check(create_command(name, **options), 120)


def destroy(machine, name):
    """Destroys a guest."""
    machine.toolstack.check(f"ashlar destroy {name}", 60)


def failure_of(output):
    """The error in what a failed command wrote with --json."""
    return json.loads(output)["error"]


def builder(machine):
    """The process number of the builder."""
    return machine.dom0.check("pidof ashlar-builder").strip()


def await_successor(machine, old):
    """Waits until init has started another builder and it serves; gives its process number."""
    new = machine.dom0.wait_for(f"pidof ashlar-builder | grep -v '^{old}$'", 60).strip()
    machine.toolstack.wait_for("ashlar list", 60)
    return new


def record(machine, name):
    """A domain's measurement record as the command prints it."""
    return machine.toolstack.wait_for(f"ashlar measurement {name} --json", 60)


def serial(machine, name):
    """The serial of a domain's record."""
    return json.loads(record(machine, name))["serial"]


def free_mib(machine):
    """Xen's free memory."""
    return int(machine.dom0.check("ashlar-machine-state free"))


def await_free_mib(machine, wanted, slack=1):
    """Waits until Xen has as much free memory as before; raises when that does not come."""
    end = time.monotonic() + SETTLE_SECONDS
    while (found := free_mib(machine)) < wanted - slack:
        assert time.monotonic() < end, f"Xen has {found} MiB free, before it had {wanted}"
        time.sleep(0.3)


def image_files(machine):
    """How many images the builder has in memory, complete or on their way."""
    return int(machine.dom0.check(
        "ls -l /proc/$(pidof ashlar-builder)/fd | grep -c memfd:ashlar-image; true"))


def await_image_files(machine, wanted):
    """Waits until the builder has that many images in memory."""
    machine.dom0.wait_for("[ $(ls -l /proc/$(pidof ashlar-builder)/fd | grep -c "
                          f"memfd:ashlar-image) = {wanted} ]", SETTLE_SECONDS)
