# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a verifier of the demo's guests has before it asks, a directory of signed references, and its
answers: of `ashlar verify`, and of tpm2-tools without any of Ashlar's code.
"""

import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "attestation" / "verify-with-tpm2-tools.sh"


def _run(*command, cwd=None):
    """Runs a program that must succeed."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True, cwd=cwd,
                   timeout=120)


def write(folder, ashlar, host_key, host_pcrs, guests):
    """Makes the directory: the host's attestation key (PEM) and what its firmware measured (host.pcrs of
    `ashlar host --export`), both from its enrolment; a signer made for this run, and a signed manifest
    for each {name: flags of `ashlar measure`}."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host-ak.pem").write_bytes(host_key)
    (folder / "host.pcrs").write_text(host_pcrs, encoding="ascii")
    _run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-keyout", "signer.key", "-out", "signers.pem", "-days", "1", "-subj", "/CN=demo",
         cwd=folder)
    for name, flags in guests.items():
        _run(ashlar, "measure", "--name", name, *flags, "--manifest", folder / f"{name}.manifest")
        _run("openssl", "cms", "-sign", "-binary", "-outform", "DER", "-in", f"{name}.manifest",
             "-signer", "signers.pem", "-inkey", "signer.key", "-out", f"{name}.manifest.cms",
             cwd=folder)


def verify_command(folder, ashlar, bundle, name, nonce):
    """The words of the `ashlar verify` that asks whether a bundle (a path) is of guest `name`."""
    return [str(word) for word in (ashlar, "verify", bundle, "--reference", folder, "--guest", name,
                                   "--nonce", nonce)]


def verify(folder, ashlar, bundle, name, nonce):
    """What `ashlar verify --json` says of a bundle (a path) of guest `name`: (exit status, object); with
    status 2, of references that cannot be read, it says nothing of the bundle."""
    done = subprocess.run([*verify_command(folder, ashlar, bundle, name, nonce), "--json"],
                          check=False, capture_output=True, timeout=120)
    return done.returncode, json.loads(done.stdout) if done.returncode in (0, 1) else {}


def verify_with_tpm2_tools(folder, bundle, nonce):
    """The same chain by tpm2-tools alone, but the references: (exit status, what it printed)."""
    done = subprocess.run([SCRIPT, bundle, nonce, folder / "host-ak.pem"], check=False,
                          capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr
