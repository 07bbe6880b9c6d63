# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that are paused, end, crash and start again, and what becomes of their records."""

import guests


def xl_state(machine, name):
    """The flags that `xl list` shows for a domain, in the order "rbpscd"."""
    return machine.dom0.check(f"xl list {name} | tail -n 1").split()[4]


def test_pause_and_unpause(machine):
    """A guest that is built paused does not run until unpaused, and stops when paused again."""
    guests.create(machine, "still", options="--paused")
    built = guests.ask(machine, "info still")
    assert (built["state"], built["cpu_time_ns"]) == ("paused", 0), built
    assert xl_state(machine, "still")[2] == "p"
    machine.toolstack.check("ashlar unpause still")
    guests.await_ready(machine, "still")
    assert guests.ask(machine, "info still")["state"] == "running"
    machine.toolstack.check("ashlar pause still")
    assert xl_state(machine, "still")[2] == "p"
    first = guests.ask(machine, "info still")
    assert first["state"] == "paused", first
    assert guests.ask(machine, "info still")["cpu_time_ns"] == first["cpu_time_ns"]
    # Xen counts pauses, and refuses to unpause what runs; the builder does neither.
    machine.toolstack.check("ashlar pause still")
    for _ in range(2):
        machine.toolstack.check("ashlar unpause still")
        assert xl_state(machine, "still")[2] == "-"
    guests.destroy(machine, "still")


def test_guests_that_end(machine):
    """A power-off, a reboot with on_reboot=destroy and a crash end domain and record."""
    guests.create(machine, "off")
    guests.create(machine, "once", options="--on-reboot destroy")
    guests.create(machine, "crash", words="guest_exit=crash")
    for name, verb in (("off", "shutdown"), ("once", "reboot")):
        guests.await_ready(machine, name)
        machine.toolstack.check(f"ashlar {verb} {name}")
    for name in ("off", "once", "crash"):
        guests.await_gone(machine, name)
        assert name not in machine.dom0.check("xl list").split()


def test_preserved_crash(machine):
    """A crashed guest with on_crash=preserve stays, with its record, until it is destroyed."""
    guests.create(machine, "crash", words="guest_exit=crash", options="--on-crash preserve")
    guests.await_console(machine, "crash", "sysrq triggered crash")
    machine.toolstack.wait_for("ashlar info crash | grep '^state: crashed'", guests.BOOT_SECONDS)
    assert xl_state(machine, "crash")[4] == "c"
    assert guests.ask(machine, "measurement crash")["name"] == "crash"
    guests.destroy(machine, "crash")


def test_guests_that_start_again(machine):
    """A reboot, and a power-off with on_poweroff=restart, keep the UUID alone."""
    requests = {"again": ("reboot", ""), "back": ("shutdown", "--on-poweroff restart")}
    before = {name: guests.create(machine, name, options=options)
              for name, (_, options) in requests.items()}
    records = {name: guests.ask(machine, f"measurement {name}") for name in requests}
    for name, (verb, _) in requests.items():
        guests.await_ready(machine, name)
        machine.toolstack.check(f"ashlar {verb} {name}")
    for name in requests:
        guests.await_console(machine, name, f"guest-ready {name}", times=2)
        after = guests.ask(machine, f"info {name}")
        record = guests.ask(machine, f"measurement {name}")
        assert after["uuid"] == before[name]["uuid"], (before[name], after)
        assert after["domid"] != before[name]["domid"], after
        assert after["serial"] == record["serial"] > before[name]["serial"], (after, record)
        assert record["events"] == records[name]["events"], "measured otherwise"
    guests.destroy(machine, *requests)
