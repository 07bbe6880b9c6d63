# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that break the rules: the builder refuses, takes back what they held, serves others."""

import json

import steps

# The second toolstack domain is not essential: the appliance outlives it.
BOOT = {"kernels": ("pv",), "second_toolstack": True}

STALL_AFTER = 2_000_000  # bytes of an upload
MAX_DOMAINS = 6          # the toolstack domain's quota in policy/20-requesters.toml
CREATES_AT_ONCE = 8
RINGS = "/local/domain/0/data/ashlar"

STALL = f"ashlar-rogue vchan:0 stall-upload /images/pv {STALL_AFTER}"


def check_sound(machine, builder):
    """The builder is still the same process and answers."""
    assert steps.builder(machine) == builder, "the builder was restarted"
    machine.toolstack.check("ashlar list", 60)


def rogue(machine, mode):
    """Runs the rogue client, which judges the builder's answer itself; gives what it wrote."""
    builder = steps.builder(machine)
    output = machine.toolstack.check(f"ashlar-rogue vchan:0 {mode}", 120)
    check_sound(machine, builder)
    return output


def test_corrupt_upload(machine):
    """Bytes that are not the announced ones are refused, and nothing of them is kept."""
    held = steps.image_files(machine)
    output = rogue(machine, "corrupt-upload /images/pv")
    assert "builder: integrity" in output, output
    assert json.loads(machine.toolstack.check("ashlar images --json", 60)) == []
    steps.await_image_files(machine, held)


def test_stalled_upload(machine):
    """While one upload stalls others are served; its client's end gives back the memory."""
    builder = steps.builder(machine)
    held = steps.image_files(machine)
    client = machine.toolstack.check(f"{STALL} >/tmp/stall 2>&1 & echo $!").strip()
    machine.toolstack.wait_for("grep 'stalled after' /tmp/stall", 60)
    steps.await_image_files(machine, held + 1)
    steps.create(machine, "served")
    steps.destroy(machine, "served")
    with_stalled = steps.image_files(machine)  # that guest's images stay in the store
    machine.toolstack.check(f"kill -KILL {client}")
    steps.await_image_files(machine, with_stalled - 1)
    check_sound(machine, builder)


def test_garbage(machine):
    """Random bytes end the connection, not the builder."""
    rogue(machine, "garbage")


def test_oversized_frame(machine):
    """A frame that claims to be larger than any may be is refused."""
    rogue(machine, "oversized-frame")


def test_no_hello(machine):
    """A request before hello is refused."""
    rogue(machine, "no-hello")


def test_upload_without_begin(machine):
    """Image bytes that nobody announced are refused."""
    rogue(machine, "upload-without-begin")


def test_slow_reader(machine):
    """A client that asks and asks and reads nothing is given up."""
    rogue(machine, "slow-reader")


def test_many_connections(machine):
    """One domain gets only so many connections, and hears why there are no more."""
    output = rogue(machine, "many-connections 20")
    assert "as many as" in output, output


def test_creates_at_once(machine):
    """Eight requests at once: as many guests as the quota allows, the others hear of the limit."""
    builder = steps.builder(machine)
    one = steps.create_command("crowd-$i")
    command = one.replace("'", '"')  # the shell has to see $i
    machine.toolstack.check(
        f"for i in $(seq {CREATES_AT_ONCE}); do "
        f"({command} >/tmp/crowd-$i 2>&1; echo $? >/tmp/crowd-$i.status) & done; wait", 180)
    statuses = {}
    for i in range(1, CREATES_AT_ONCE + 1):
        status, output = machine.toolstack.check(
            f"cat /tmp/crowd-{i}.status /tmp/crowd-{i}").split("\n", 1)
        statuses[f"crowd-{i}"] = int(status)
        if int(status) != 0:
            failure = steps.failure_of(output)
            assert failure["code"] == "limit" and failure["limit"] == str(MAX_DOMAINS), output
    built = [name for name, status in statuses.items() if status == 0]
    assert len(built) == MAX_DOMAINS, statuses
    for name in built:
        steps.destroy(machine, name)
    check_sound(machine, builder)


def test_client_domain_destroyed(machine):
    """A client domain that is destroyed in mid-upload leaves no rings, memory or zombie."""
    builder = steps.builder(machine)
    held = steps.image_files(machine)
    domid = machine.dom0.check("xl list | awk '$1 == \"toolstack-2\" { print $2 }'").strip()
    tty = machine.dom0.wait_for(f"xenstore-read /local/domain/{domid}/console/tty | grep .").strip()
    machine.dom0.check(f"stty -F {tty} raw -echo; echo '{STALL}' >{tty}")
    machine.dom0.wait_for("grep 'stalled after' /var/log/xen/console/guest-toolstack-2.log", 60)
    steps.await_image_files(machine, held + 1)
    machine.dom0.check(f"xenstore-list {RINGS}/{domid} | grep .")
    machine.dom0.check(f"xl destroy {domid}")
    machine.dom0.wait_for(f"! xl list | awk '{{ print $2 }}' | grep -x {domid}")
    machine.dom0.wait_for(f"! xenstore-list {RINGS} | grep -x {domid}")
    machine.dom0.wait_for(f"! xenstore-list /local/domain | grep -x {domid}")
    steps.await_image_files(machine, held)
    check_sound(machine, builder)


test_client_domain_destroyed.changes_state = True  # a domain less


def test_essential_domain_destroyed(machine):
    """When the essential toolstack domain is destroyed in mid-upload, the machine powers off."""
    machine.toolstack.check(f"{STALL} >/tmp/stall 2>&1 & true")
    machine.toolstack.wait_for("grep 'stalled after' /tmp/stall", 60)
    machine.dom0.run("(sleep 0.5; xl destroy toolstack) >/dev/null 2>&1 &")
    machine.wait_off()
    text = machine.log_text()
    assert "domain toolstack is essential and has ended" in text
    assert "stopping: an essential domain ended" in text


test_essential_domain_destroyed.ends_machine = True
