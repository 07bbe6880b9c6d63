# SPDX-License-Identifier: LGPL-2.1-or-later
"""The builder or xenconsoled ends at a bad moment: its successor loses and doubles nothing."""

import json

import guests
import steps

BOOT = {"preload": "test/system/fault/ashlar-fault.so",
        "kernels": ("pv", "payload-elf", "payload-xz")}

KILL_SECONDS = 120  # a moment that has not come by then does not come
SERIALS = []  # of all records that this file's tests saw, in the order of their builds


def note_serial(machine, name):
    """Takes down the serial of a domain that was just built: it must be the highest so far."""
    serial = steps.serial(machine, name)
    assert not SERIALS or serial > SERIALS[-1], f"{serial} after {SERIALS}"
    SERIALS.append(serial)
    return serial


def kill_builder_when(machine, condition):
    """Kills the builder at the moment when a shell condition comes true; gives its number."""
    old = steps.builder(machine)
    machine.dom0.check(f"(timeout {KILL_SECONDS} sh -c 'until {condition}; do :; done' "
                       f"&& kill -KILL {old}) >/dev/null 2>&1 &")
    return old


def ready_lines(machine, name):
    """How often the guest has said on its console that it is up."""
    return int(machine.dom0.check(
        f"grep -c 'guest-ready {name}' /var/log/xen/console/guest-{name}.log; true"))


def restarts_over(machine, signal):
    """A guest goes on over the builder's end by a signal, with the same record, and can reboot."""
    steps.create(machine, "stays", paused=False)
    before = steps.record(machine, "stays")
    note_serial(machine, "stays")
    guests.await_ready(machine, "stays")
    old = steps.builder(machine)
    machine.dom0.check(f"kill -{signal} {old}")
    steps.await_successor(machine, old)
    assert steps.record(machine, "stays") == before
    assert json.loads(machine.toolstack.check("ashlar info stays --json", 60))["state"] == "running"
    ready = ready_lines(machine, "stays")
    machine.toolstack.check("ashlar reboot stays", 60)
    machine.dom0.wait_for(f"[ $(grep -c 'guest-ready stays' /var/log/xen/console/guest-stays.log) "
                          f"-gt {ready} ]", 120)
    note_serial(machine, "stays")
    steps.destroy(machine, "stays")


def test_killed_idle(machine):
    """A guest keeps its record over a killed builder, and reboots from images that init kept."""
    restarts_over(machine, "KILL")


def test_terminated_idle(machine):
    """A builder that was told to stop is started again just as one that was killed."""
    restarts_over(machine, "TERM")


def test_killed_while_uploading(machine):
    """A builder killed in mid-upload: the client hears of it, and nothing of the image is kept."""
    held = steps.image_files(machine)
    listed = machine.toolstack.check("ashlar images --json", 60)
    old = kill_builder_when(
        machine, f"[ $(ls -l /proc/$(pidof ashlar-builder)/fd | grep -c memfd:ashlar-image) "
                 f"-gt {held} ]")
    status, output = machine.toolstack.run(
        steps.create_command("late", kernel="payload-elf"), 120)
    assert status == 4, (status, output)
    steps.await_successor(machine, old)
    assert machine.toolstack.check("ashlar images --json", 60) == listed
    steps.await_image_files(machine, held)


def test_killed_while_inspecting(machine):
    """A builder killed while a kernel is inspected leaves no inspector; the next build works."""
    old = kill_builder_when(machine, "pidof ashlar-inspector")
    status, output = machine.toolstack.run(
        steps.create_command("late", kernel="payload-xz"), 120)
    assert status == 4, (status, output)
    machine.dom0.wait_for("! pidof ashlar-inspector", 120)  # it ends by itself
    steps.await_successor(machine, old)
    steps.create(machine, "late", kernel="payload-xz")
    note_serial(machine, "late")
    steps.destroy(machine, "late")


def test_killed_while_constructing(machine):
    """A builder killed in mid-construction: the stopped constructor and the domain are gone."""
    free = steps.free_mib(machine)
    machine.dom0.check("echo 'stop xc_dom_build_image' >/run/ashlar-fault")
    old = steps.builder(machine)
    machine.toolstack.check(
        f"({steps.create_command('late')} >/tmp/late 2>&1; echo $? >/tmp/late.status) & true")
    machine.dom0.wait_for("grep -q '^State:.T' /proc/$(pidof ashlar-constructor)/status", 60)
    machine.dom0.check(f"rm /run/ashlar-fault; kill -KILL {old}")
    status = machine.toolstack.wait_for("cat /tmp/late.status", 60).strip()
    assert status == "4", (status, machine.toolstack.check("cat /tmp/late"))
    steps.await_successor(machine, old)
    machine.dom0.check("! pidof ashlar-constructor")
    steps.await_free_mib(machine, free)
    steps.create(machine, "late")
    note_serial(machine, "late")
    steps.destroy(machine, "late")


def test_killed_twice(machine):
    """Serials only rise: over two restarts in a row, with a guest that lives through both."""
    steps.create(machine, "first")
    first = note_serial(machine, "first")
    for name in ("second", "third"):
        old = steps.builder(machine)
        machine.dom0.check(f"kill -KILL {old}")
        steps.await_successor(machine, old)
        steps.create(machine, name)
        note_serial(machine, name)
    assert steps.serial(machine, "first") == first
    for name in ("first", "second", "third"):
        steps.destroy(machine, name)


def test_xenconsoled_killed(machine):
    """A guest's console works again after xenconsoled was killed."""
    steps.create(machine, "talks", paused=False)
    note_serial(machine, "talks")
    guests.await_ready(machine, "talks")
    domid = machine.toolstack.check("ashlar domid talks", 60).strip()
    tty_node = f"/local/domain/{domid}/console/tty"
    old = machine.dom0.check(f"xenstore-write {tty_node} ''; pidof xenconsoled").strip()
    own_tty = "/local/domain/1/console/tty"
    machine.dom0.check(f"xenstore-write {own_tty} ''; kill -KILL {old}")
    machine.dom0.wait_for(f"pidof xenconsoled | grep -v '^{old}$'")
    machine.dom0.wait_for(f"xenstore-read {own_tty} | grep .")
    machine.attach_toolstack()
    tty = machine.dom0.wait_for(f"xenstore-read {tty_node} | grep .").strip()
    machine.dom0.check(f"echo after-restart >{tty}")
    machine.toolstack.wait_for(
        "ashlar console talks --tail 4000 | grep 'guest-heard after-restart'", 60)
    steps.destroy(machine, "talks")
