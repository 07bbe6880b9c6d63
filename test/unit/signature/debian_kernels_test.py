# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checks Debian's own signed kernels against the example policy that allows only these.

Runs the real command with the real verifier in its sandbox: ASHLAR KERNELS POLICY. The kernels are
those that the test machines boot; without them (a build without ./dev) this test is skipped.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

SKIPPED = 77
# An initrd that the policy lists: its bytes are not needed to ask.
INITRD = "sha256:a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90"
ISSUER = "CN=Debian Secure Boot CA"


def ashlar(program, *arguments):
    """Runs the command; gives its exit status and what it prints as JSON."""
    done = subprocess.run([program, *arguments, "--json"], capture_output=True, text=True,
                          check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def explain(program, policy, kernel):
    """What the policy says to a guest with this kernel and a TPM."""
    return ashlar(program, "policy", "explain", policy, "--as", "toolstack", "--name", "web",
                  "--kernel", str(kernel), "--initrd", INITRD, "--cmdline", "console=hvc0",
                  "--vtpm", "2.0")


def check(program, policy, kernel, scratch):
    """A kernel as Debian made it is allowed; with one bit changed, nowhere near its signature, not."""
    status, seen = ashlar(program, "image", "inspect", str(kernel))
    assert status == 0, seen
    assert [found["valid"] for found in seen["signatures"]] == [True], seen
    assert seen["signatures"][0]["issuer"] == ISSUER, seen
    status, answer = explain(program, policy, kernel)
    assert status == 0 and answer["rule"] == "measured guests", answer
    changed = bytearray(kernel.read_bytes())
    changed[len(changed) // 2] ^= 1
    copy = pathlib.Path(scratch) / "changed"
    copy.write_bytes(changed)
    status, answer = explain(program, policy, copy)
    assert status == 3 and "nor is it signed by" in answer["reason"], answer


def main(program, kernels, policy):
    """Checks every kernel there is."""
    found = sorted(pathlib.Path(kernels).glob("*/boot/vmlinuz-*"))
    if not found:
        print(f"skipped: {kernels} has no kernel; ./dev test gets them")
        return SKIPPED
    with tempfile.TemporaryDirectory() as scratch:
        for kernel in found:
            print(kernel.name)
            check(program, policy, kernel, scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
