# SPDX-License-Identifier: LGPL-2.1-or-later
"""The way of one guest through the builder, from the toolstack domain and from domain 0."""

import json

import guests

CREATE = ("ashlar create --name {name} --type {type} --kernel /images/{type} "
          "--initrd /images/guest --memory 256 --vcpus 1 --json "
          "--cmdline '{command_line}'")


def create(name):
    """The command for a PV guest."""
    return CREATE.format(name=name, type="pv", command_line=guests.command_line(name))


def test_toolstack_is_known(machine):
    """The builder knows the toolstack domain by its domid, over vchan."""
    version = json.loads(machine.toolstack.check("ashlar version --json", 60))
    assert version["transport"] == "vchan", version
    assert version["requester"] == "toolstack", version
    listed = machine.dom0.check("xenstore-read /local/domain/%d/name" % version["domid"])
    assert listed.strip() == "toolstack", listed


def test_no_network(machine):
    """The builder, and with it each of its children, is not in domain 0's network."""
    networks = [machine.dom0.check(f"readlink /proc/{process}/ns/net")
                for process in ("1", "$(pidof ashlar-builder)")]
    assert networks[0] != networks[1], networks


def test_guest_lives_and_dies(machine):
    """A PV guest is built, boots to user space, is seen by xl, and is gone when destroyed."""
    machine.toolstack.check(create("one"), 120)
    guests.await_ready(machine, "one")
    assert "one " in machine.dom0.check("xl list")
    machine.toolstack.check("ashlar destroy one", 60)
    assert json.loads(machine.toolstack.check("ashlar list --json", 60)) == []


def test_denied_name(machine):
    """A deny rule's refusal has exit status 3 and names the rule."""
    status, output = machine.toolstack.run(create("forbidden-1"), 120)
    assert status == 3, (status, output)
    assert json.loads(output)["error"]["rule"] == "no guest is called forbidden", output


def test_builder_restart(machine):
    """A killed builder is started again, and a guest built before goes on under it."""
    machine.toolstack.check(create("stays"), 120)
    old = machine.dom0.check("pidof ashlar-builder").split()[0]
    machine.dom0.check(f"kill -KILL {old}")
    machine.dom0.wait_for(f"pidof ashlar-builder | grep -v '^{old}$'", 60)
    info = json.loads(machine.toolstack.wait_for("ashlar info stays --json", 60))
    assert info["state"] == "running", info
    machine.toolstack.check("ashlar destroy stays", 60)
