# SPDX-License-Identifier: LGPL-2.1-or-later
"""The TPM Manager's domain: killed at chosen moments, approached by others, asked too often and too late."""

import guests
import steps
from test_vtpm import BOOT, VERSION, assert_pcrs, create, host, vtpm_domid
from test_vtpm_state import UUID, resets

BUILDER = "/usr/sbin/ashlar-builder"
CONSOLES = "/var/log/xen/console"


def manager_domid(machine):
    """The TPM Manager's domain."""
    return int(machine.dom0.check("xl domid tpm-manager"))


def kill_at(machine, moment):
    """Has the manager killed once, at this moment of the way of a record, whose guest gets this name."""
    node = f"/local/domain/{manager_domid(machine)}/data/ashlar-test"
    machine.dom0.check(f"xenstore-write {node} {moment}")
    name = f"kill-{moment}"
    guests.create(machine, name, options="--paused")
    # The process that died took the node along.
    assert machine.dom0.run(f"xenstore-read {node}")[0] != 0
    return name


def killed_at(moment):
    """The test for a manager that is killed once, at this moment of a record's way."""
    def test(machine):
        before = host(machine)
        name = kill_at(machine, moment)
        after = host(machine)
        assert after["log_events"] == before["log_events"] + 1, (before, after)
        assert after["sha256"] != before["sha256"]
        guests.destroy(machine, name)
    test.__doc__ = f"A TPM Manager that is killed {moment} loses no record and doubles none."
    return test


for point in ("before-extend", "after-extend", "before-answer"):
    globals()[f"test_killed_{point.replace('-', '_')}"] = killed_at(point)


def test_killed_with_keys(machine):
    """A TPM Manager that was killed while the store had its connection finds its keys there again."""
    first = resets(machine, "keyed", UUID)
    guests.destroy(machine, kill_at(machine, "before-answer"))
    assert resets(machine, "keyed", UUID) > first


def test_out_of_reach(machine):
    """The toolstack domain can join no ring of the TPM Manager's, map no page and bind no port of it."""
    before = host(machine)
    status, output = machine.toolstack.run(
        f"ashlar-rogue reach-manager {manager_domid(machine)} 2>/dev/null", 120)
    assert status == 0, output
    assert host(machine) == before


def test_domid_reuse(machine):
    """Guest and vTPM that get each other's former domids have their own values, and the vTPM the right guest."""
    create(machine, "first", "2.0")
    assert_pcrs(machine, "first", "2.0", "pv")
    guest = guests.ask(machine, "info first")["domid"]
    vtpm = vtpm_domid(machine, "first")
    guests.destroy(machine, "first")
    machine.dom0.wait_for(f"! xl list {guest} && ! xl list {vtpm}", 60)
    machine.dom0.check(f"printf '{vtpm}\\n{guest}\\n' >/run/ashlar-domids")
    create(machine, "second", "1.2", words="panic=1")
    machine.dom0.check("rm /run/ashlar-domids")
    assert guests.ask(machine, "info second")["domid"] == vtpm
    assert vtpm_domid(machine, "second") == guest
    assert_pcrs(machine, "second", "1.2", "pv", "panic=1")
    guests.destroy(machine, "second")


def test_replayed_and_late(machine):
    """A record counts once however often it comes, and a vTPM whose guest's record was revoked is told nothing."""
    before = host(machine)
    # The vTPM stops before it asks, and the builder is away while somebody else sends in its place.
    machine.dom0.check(
        "(while ! d=$(xl list | awk '/^vtpm-/ {print $2}') || [ -z \"$d\" ]; do sleep 0.05; done; "
        "xl pause $d) >/dev/null 2>&1 &")
    words = guests.command("late", initrds=("tpm-guest",), options="--vtpm 2.0")
    machine.toolstack.check(f"({words} >/tmp/late 2>&1; true) >/dev/null 2>&1 &")
    vtpm = int(machine.dom0.wait_for("xl list | awk '/^vtpm-/ {print $2}' | grep .",
                                     guests.BUILD_SECONDS))
    machine.dom0.wait_for(f"xenstore-read /local/domain/{vtpm}/device/vtpm/0/backend", 60)
    serial = steps.serial(machine, "late")
    old = steps.builder(machine)
    machine.dom0.check(f"mv {BUILDER} {BUILDER}.kept && printf '#!/bin/sh\\nexec sleep 1000\\n' "
                       f">{BUILDER} && chmod +x {BUILDER} && kill -9 {old}")
    machine.dom0.wait_for("pidof sleep", 60)
    status, output = machine.dom0.run(
        f"ashlar-rogue replay-records {manager_domid(machine)} {serial}", 120)
    assert status == 0, output
    machine.dom0.check(f"xl unpause {vtpm}")
    machine.dom0.wait_for(f"grep -hq 'domain {vtpm} as a vTPM: .* is bound to no guest' {CONSOLES}/*",
                          guests.BUILD_SECONDS)
    assert machine.dom0.run(f"xenstore-read /local/domain/{vtpm}/data/vtpm-state")[1] != "extended"
    machine.dom0.check(f"mv {BUILDER}.kept {BUILDER} && kill $(pidof sleep)")
    steps.await_successor(machine, old)
    guests.await_gone(machine, "late")
    # The guest's, its vTPM's, and the two that were sent in between.
    machine.toolstack.wait_for("ashlar host", 60)
    assert host(machine)["log_events"] == before["log_events"] + 4
    create(machine, "next", VERSION)
    assert_pcrs(machine, "next", VERSION, "pv")
    guests.destroy(machine, "next")
