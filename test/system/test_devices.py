# SPDX-License-Identifier: LGPL-2.1-or-later
"""Disks and network interfaces from a driver domain: the toolstack domain, with Xen's own `xl devd` and scripts."""

import json

import guests

BRIDGE_ADDRESS = "192.0.2.1/24"
ATTACH_SECONDS = 180  # a script of Xen's takes several seconds of the emulated processor
DISK_MIB = 1


def make_driver_domain(machine):
    """Gives the toolstack domain disks, a bridge and what serves them, if it has none yet."""
    machine.toolstack.check(
        "[ -e /etc/backends ] && exit 0\n"
        "cd / && cpio -idu </images/driver-domain 2>/dev/null\n"
        "while read -r module; do insmod $module; done </etc/backends\n"
        "mkdir -p /run/disks /run/xen /run/lock\n"
        "ln -s /proc/self/fd /dev/fd; ln -s fd/0 /dev/stdin\n"  # Xen's scripts lock by them
        "for disk in own-1 shared-1; do\n"
        f"    dd if=/dev/zero of=/run/disks/$disk bs=1M count={DISK_MIB} 2>/dev/null\n"
        "    printf '%-16s' \"disk $disk\" | dd of=/run/disks/$disk conv=notrunc 2>/dev/null\n"
        "done\n"
        f"ip link add name xenbr0 type bridge && ip link set xenbr0 up && ip addr add {BRIDGE_ADDRESS} dev xenbr0\n"
        "xl devd", ATTACH_SECONDS)


def command(name, devices, type="pv", kernel="pv"):
    """The command for a guest with devices and their drivers."""
    return guests.command(name, type=type, kernel=kernel, initrds=("guest", "guest-devices"), options=devices)


def create(machine, name, devices, **options):
    """Has such a guest built."""
    return guests.ask(machine, command(name, devices, **options).removeprefix("ashlar "))


def refused(machine, name, devices, status):
    """The error of a guest that must not come to be."""
    return guests.fail(machine, command(name, devices).removeprefix("ashlar "), status)


def backend_nodes(machine):
    """What is left in xenstore of devices that the toolstack domain has for others."""
    return machine.dom0.check(
        "for kind in vbd vif; do for d in $(xenstore-list /local/domain); do\n"
        "    xenstore-list /local/domain/$d/backend/$kind 2>/dev/null\n"
        "done; done; true").split()


def await_no_backends(machine):
    """Waits until every device of guests that are gone is gone, too, and no loop device is in use."""
    machine.dom0.wait_for(
        "for d in $(xenstore-list /local/domain); do for kind in vbd vif; do\n"
        "    [ -z \"$(xenstore-list /local/domain/$d/backend/$kind 2>/dev/null)\" ] || exit 1\n"
        "done; done", ATTACH_SECONDS)
    machine.toolstack.wait_for("[ -z \"$(losetup -a)\" ]", ATTACH_SECONDS)


def test_disks_and_network(machine):
    """PV and PVH guests read and write disks and reach a bridge of the toolstack domain."""
    make_driver_domain(machine)
    for name, kernel in (("device-pv", "pv"), ("device-pvh", "pvh")):
        create(machine, name, "--disk /run/disks/own-1,raw,xvda,w,backend=toolstack "
               "--disk vdev=xvdb,access=ro,backend=toolstack,target=/run/disks/shared-1 "
               "--nic bridge=xenbr0,backend=toolstack,mac=00:16:3e:00:00:07", type=kernel, kernel=kernel)
        text = guests.await_ready(machine, name)
        assert "guest-disk xvda disk own-1" in text and "guest-disk-written xvda" in text, text
        assert "guest-disk xvdb disk shared-1" in text and "guest-disk-written xvdb" not in text, text
        assert "guest-net 00:16:3e:00:00:07 reaches the bridge" in text, text
        found = machine.toolstack.check("dd if=/run/disks/own-1 bs=512 skip=1 count=1 2>/dev/null | head -c 20")
        assert found == "written by the guest", found
        machine.toolstack.check("dd if=/dev/zero of=/run/disks/own-1 bs=512 seek=1 count=1 conv=notrunc 2>/dev/null")
        info = guests.ask(machine, f"info {name}")
        assert info["disks"][0] == {"vdev": "xvda", "access": "rw", "backend": "toolstack",
                                    "target": "/run/disks/own-1"}, info
        assert info["nics"] == [{"backend": "toolstack", "bridge": "xenbr0", "mac": "00:16:3e:00:00:07"}], info
        listed = machine.dom0.check(f"xl block-list {info['domid']}; xl network-list {info['domid']}", 60)
        assert "51712" in listed and "51728" in listed and "00:16:3e:00:00:07" in listed, listed
        guests.destroy(machine, name)
        await_no_backends(machine)


def test_configuration_is_measured(machine):
    """Which devices a guest has is measured, as `ashlar measure` predicts it."""
    make_driver_domain(machine)
    devices = ("--disk vdev=xvda,access=ro,backend=toolstack,target=/run/disks/shared-1 "
               "--nic bridge=xenbr0,backend=toolstack")
    create(machine, "device-1", devices + " --paused")
    events = guests.ask(machine, "measurement device-1")["events"]
    found = next(event for event in events if event["type"] == "configuration")
    assert found["content"].endswith(
        "disk=xvda,access=ro,backend=toolstack,target=/run/disks/shared-1\n"
        "nic=backend=toolstack,bridge=xenbr0,mac=auto\n"), found
    told = json.loads(machine.toolstack.check(
        command("device-1", devices).replace("ashlar create", "ashlar measure") + " --json", 120))
    assert found["sha256"] in json.dumps(told), told
    guests.destroy(machine, "device-1")
    await_no_backends(machine)


def test_refused(machine):
    """Devices that no rule allows, or whose backend is none, are refused by name, and leave nothing."""
    make_driver_domain(machine)
    error = refused(machine, "device-2", "--disk /run/disks/shared-1,raw,xvda,w,backend=toolstack", 3)
    assert "the disk xvda (read-write," in error["message"], error
    error = refused(machine, "device-2", "--nic bridge=other,backend=toolstack", 3)
    assert "the network interface 0" in error["message"], error
    error = refused(machine, "plain", "--nic bridge=xenbr0,backend=toolstack", 3)
    assert "nics" in error["message"], error
    # Nobody serves disks in domain 0, which is no driver domain here: the builder waits in vain.
    error = refused(machine, "device-2", "--disk /run/disks/none,raw,xvda,r", 1)
    assert "attaching disk xvda" in error["message"] and "Domain-0" in error["message"], error
    error = refused(machine, "device-2", "--disk /run/disks/none,raw,xvda,r,backend=toolstack", 1)
    assert "/run/disks/none is no block device or file there" in error["message"], error
    await_no_backends(machine)


def test_reboot_and_restart(machine):
    """A guest that reboots gets its devices anew; one destroyed under a killed builder leaves none."""
    make_driver_domain(machine)
    create(machine, "device-3", "--disk /run/disks/own-1,raw,xvda,w,backend=toolstack "
           "--nic bridge=xenbr0,backend=toolstack")
    guests.await_ready(machine, "device-3")
    before = guests.ask(machine, "info device-3")
    machine.toolstack.check("ashlar reboot device-3", 60)
    guests.await_console(machine, "device-3", "guest-ready device-3", times=2)
    after = guests.ask(machine, "info device-3")
    assert machine.toolstack.check("losetup -a").count("own-1") == 1
    assert after["domid"] != before["domid"] and after["nics"] == before["nics"], (before, after)
    old = machine.dom0.check("pidof ashlar-builder").strip()
    # Both in one go: the devices are still being taken away when the builder dies.
    machine.toolstack.check("ashlar destroy device-3", 60)
    machine.dom0.check(f"kill -9 {old}")
    machine.dom0.wait_for(f"pidof ashlar-builder | grep -v '^{old}$'", 60)
    machine.toolstack.wait_for("ashlar list", 60)
    await_no_backends(machine)
    assert not backend_nodes(machine)
