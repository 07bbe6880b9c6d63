# SPDX-License-Identifier: LGPL-2.1-or-later
"""TPMs that outlive their guests: what the store's domain does to the states is noticed."""

import re

import guests

# The machine of test_vtpm_tools, too.
BOOT = {"tpm": True, "kernels": ("pv", "tpm-tools")}

DIRECTORY = "/var/lib/ashlar/vtpm-state"
STORE = f"{DIRECTORY}/guests/toolstack"
KEYS = f"{DIRECTORY}/tpm-manager"
PIECE = 40_000  # of a command's text: below what one argument may have
UUID = "6f1d7a52-0c4b-4f0e-9d7e-3a5f00000001"


def command(name, uuid, vtpm="2.0"):
    """The command that has a guest built whose TPM's state is kept."""
    return guests.command(name, type="pvh", initrds=("tpm-guest",), options=f"--vtpm {vtpm} --uuid {uuid}")


def resets(machine, name, uuid):
    """Builds a guest and destroys it again; gives how often its TPM was started in all."""
    guests.ask(machine, command(name, uuid).removeprefix("ashlar "))
    console = guests.await_ready(machine, name)
    guests.destroy(machine, name)
    found = re.search(r"guest-tpm-resets ([0-9a-f]{8})", console)
    assert found, console
    return int(found[1], 16)


def have_state(machine, uuid):
    """Sees to it that the store has a state for this UUID: an earlier test may have left one."""
    if machine.toolstack.run(f"ls {STORE}/{uuid}")[0] != 0:
        resets(machine, "first", uuid)


def refusal(machine, name, uuid, vtpm="2.0"):
    """The message of the error when the guest cannot have its TPM."""
    words = command(name, uuid, vtpm).removeprefix("ashlar ")
    message = guests.fail(machine, words, 1)["message"]
    assert guests.fail(machine, f"info {name}", 1)["code"] == "not_found"
    return message


def blobs(machine, uuid):
    """The files of a guest's states."""
    return machine.toolstack.check(f"ls {STORE}/{uuid}").split()


def test_kept(machine):
    """A guest finds the TPM that it had, by its UUID, also after the store was killed; an older state is refused."""
    first = resets(machine, "keeps", UUID)
    assert len(blobs(machine, UUID)) == 1
    home = f"{STORE}/{UUID}"
    machine.toolstack.check(f"cp -r {home} /tmp/old && kill -9 $(pidof ashlar-vtpm-store)")
    second = resets(machine, "keeps", UUID)
    assert second > first, (first, second)
    assert len(blobs(machine, UUID)) == 1
    machine.toolstack.check(f"cp -r {home} /tmp/new && rm -r {home} && cp -r /tmp/old {home}")
    assert "lost it" in refusal(machine, "keeps", UUID)
    # The old bytes under the name that is asked for.
    machine.toolstack.check(f"mv {home}/* {home}/$(ls /tmp/new)")
    assert "another or an older state" in refusal(machine, "keeps", UUID)
    machine.toolstack.check(f"rm -r {home}")
    assert "lost it" in refusal(machine, "keeps", UUID)
    machine.toolstack.check(f"cp -r /tmp/new {home}")
    assert resets(machine, "keeps", UUID) > second


def test_swapped(machine):
    """The state of another guest, or of another TPM version, is refused."""
    one, other = UUID.replace("0001", "0003"), UUID
    have_state(machine, other)
    resets(machine, "one", one)
    machine.toolstack.check(
        f"cp {STORE}/{other}/{blobs(machine, other)[0]} {STORE}/{one}/{blobs(machine, one)[0]}")
    assert "another or an older state" in refusal(machine, "one", one)
    assert "TPM" in refusal(machine, "other", other, "1.2")


def test_without_uuid(machine):
    """A guest without a UUID of its own has a TPM that ends with it: nothing of it is stored."""
    before = machine.toolstack.check(f"ls {STORE}").split()
    guests.create(machine, "passing", initrds=("tpm-guest",), options="--vtpm 2.0")
    guests.await_ready(machine, "passing")
    guests.destroy(machine, "passing")
    assert machine.toolstack.check(f"ls {STORE}").split() == before


def pack(machine, uuid):
    """What the store has of this guest and of the TPM Manager, as text."""
    return machine.toolstack.check(
        f"tar -c -C {DIRECTORY} tpm-manager guests/toolstack/{uuid} | base64 -w 0", 60)


def unpack(machine, packed):
    """Gives the store these files, and nothing else."""
    machine.toolstack.check(f"rm -rf {DIRECTORY}/* /tmp/packed")
    for at in range(0, len(packed), PIECE):
        machine.toolstack.check(f"echo -n {packed[at:at + PIECE]} >>/tmp/packed", 60)
    machine.toolstack.check(f"base64 -d /tmp/packed | tar -x -C {DIRECTORY}", 60)


def test_power_cycle(machine):
    """A guest finds its TPM after a reboot of the whole machine, if the store has the last keys and no others."""
    have_state(machine, UUID)
    older = pack(machine, UUID)
    before = resets(machine, "lives", UUID)
    last = pack(machine, UUID)
    machine.power_cycle()
    machine.toolstack.wait_for("ashlar host", 60)
    assert guests.ask(machine, "host")["log_events"] >= 2
    # The store's domain has no disk: it has lost all, and has it brought back.
    assert "they are lost or damaged" in refusal(machine, "lives", UUID)
    unpack(machine, older)
    assert "they are older ones" in refusal(machine, "lives", UUID)
    unpack(machine, last)
    assert len(machine.toolstack.check(f"ls {KEYS}").split()) == 1
    after = resets(machine, "lives", UUID)
    assert after > before, (before, after)


test_power_cycle.changes_state = True
