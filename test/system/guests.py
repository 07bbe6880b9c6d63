# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests that tests have built, boot and look at from the toolstack domain and from domain 0."""

import json
import shlex
import time

from appliance.qemu import LEAN_GUEST

BUILD_SECONDS = 180  # limits for a machine that others load; a few seconds are usual
BOOT_SECONDS = 300
TAIL_BYTES = 65536
MISSING_LOOKS = 20


def command(name, type="pv", kernel="pv", initrds=("guest",), words="", options="",
            memory_mib=144):
    """The command that has a small guest built.

    `initrds` are names below /images, `words` more of the command line, `options` of `ashlar`.
    """
    initrd_options = " ".join(f"--initrd /images/{initrd}" for initrd in initrds)
    return (f"ashlar create --name {name} --type {type} --kernel /images/{kernel} "
            f"{initrd_options} --memory {memory_mib} {options} "
            f"--cmdline '{command_line(name, words)}'")


def command_line(name, words=""):
    """The kernel command line of such a guest."""
    return f"console=hvc0 quiet {LEAN_GUEST} guest_name={name} {words}".strip()


def create(machine, name, **request):
    """Has a guest built; gives the answer."""
    return ask(machine, command(name, **request).removeprefix("ashlar "))


def ask(machine, words):
    """The answer to an `ashlar` command that must succeed and prints JSON."""
    # On a loaded machine the builder may say nothing for longer than people would wait.
    return json.loads(machine.toolstack.check(
        f"ashlar --timeout {BUILD_SECONDS} {words} --json", BUILD_SECONDS))


def fail(machine, words, status):
    """The error of an `ashlar` command that must end with this exit status."""
    found, output = machine.toolstack.run(f"ashlar {words} --json", BUILD_SECONDS)
    assert found == status, f"{words}: exit status {found}, {status} was expected: {output}"
    return json.loads(output)["error"]


def await_console(machine, name, text, times=1):
    """Waits until a guest's console says this text so often; gives the console's end.

    Fails as soon as the guest is gone; while it reboots it may be missing for a moment.
    """
    # One command that follows: to ask again and again would take the emulated processor from the guest.
    look = (f": >/tmp/seen; ashlar console {name} >>/tmp/seen 2>/dev/null </dev/null & follower=$!\n"
            f"seen() {{ [ $(grep -c {shlex.quote(text)} /tmp/seen) -ge {times} ]; }}\n"
            f"left={BOOT_SECONDS}\n"
            "until seen || [ $left = 0 ]; do\n"
            "    sleep 1; left=$((left - 1)); kill -0 $follower 2>/dev/null || break\n"
            "done\n"
            "kill $follower 2>/dev/null; seen")
    end = time.monotonic() + BOOT_SECONDS
    missing = 0
    while time.monotonic() < end:
        status, _ = machine.toolstack.run(look, 3 * BOOT_SECONDS)
        if status == 0:
            return machine.toolstack.check(f"tail -c {TAIL_BYTES} /tmp/seen", 60)
        missing += 1
        assert missing < MISSING_LOOKS, f"guest {name} is gone before its console said {text!r}"
        time.sleep(0.5)
    raise AssertionError(f"guest {name} does not say {text!r}")


def await_ready(machine, name):
    """Waits until a guest's user space runs; gives its console's end."""
    return await_console(machine, name, f"guest-ready {name}")


def await_gone(machine, name):
    """Waits until the builder knows no domain of this name, and so has no record of it."""
    machine.toolstack.wait_for(
        f"ashlar measurement {name} --json | grep -q not_found", BOOT_SECONDS)


def destroy(machine, *names):
    """Destroys guests."""
    for name in names:
        machine.toolstack.check(f"ashlar destroy {name}", 60)


def assert_measured(machine, name, image):
    """The digests that are shown for a guest's kernel are those of the file that was sent."""
    shown = ask(machine, f"info {name}")["kernel"]
    event = next(event for event in ask(machine, f"measurement {name}")["events"]
                 if event["type"] == "kernel")
    for bank in ("sha1", "sha256"):
        digest = machine.toolstack.check(f"{bank}sum /images/{image}", 60).split()[0]
        assert digest == shown[bank] == event[bank], (image, bank, digest, shown, event)
