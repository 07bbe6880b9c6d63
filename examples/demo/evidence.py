# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo's last step: a guest's evidence, checked on the host by `ashlar verify` and, without any of
Ashlar's code, by tpm2-tools. Beside it: what a verifier has before it asks, a directory of references.
"""

import base64
import gzip
import io
import json
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "attestation" / "verify-with-tpm2-tools.sh"
LINE = "guest-evidence "
GZIP_MAGIC = b"\x1f\x8b"
MAX_BUNDLE_BYTES = 2 << 20
# The TPM Manager's attestation key is a primary key: whoever owns the TPM can make it again.
KEY_TEMPLATE = ("-C", "e", "-g", "sha256", "-G", "ecc256:ecdsa-sha256",
                "-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign")


def run(*command, cwd=None, env=None):
    """Runs a program that must succeed."""
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, cwd=cwd,
                          env=env, timeout=60).stdout


def bundle_of(console):
    """The bundle that a guest printed as lines "guest-evidence BASE64", perhaps gzipped; None: there
    is none. What is no bundle is for the verifier to say."""
    pieces = [line.partition(LINE)[2].strip() for line in console.splitlines() if LINE in line]
    if not pieces:
        return None
    data = base64.b64decode("".join(pieces))
    if not data.startswith(GZIP_MAGIC):
        return data
    with gzip.open(io.BytesIO(data)) as stream:
        return stream.read(MAX_BUNDLE_BYTES)


def host_key(folder, tcti):
    """The public key (PEM) with which the TPM Manager signs, made again by the owner of the TPM."""
    environment = {"PATH": "/usr/bin:/bin", "TPM2TOOLS_TCTI": tcti}
    run("tpm2_createprimary", *KEY_TEMPLATE, "-c", "ak.ctx", cwd=folder, env=environment)
    run("tpm2_readpublic", "-c", "ak.ctx", "-f", "pem", "-o", "ak.pem", cwd=folder, env=environment)
    return (folder / "ak.pem").read_bytes()


def write_references(folder, ashlar, key, guests):
    """A reference directory: the host's key, and a signed manifest for each {name: flags of
    `ashlar measure`}."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host-ak.pem").write_bytes(key)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", "signer.key", "-out", "signers.pem", "-days", "1", "-subj", "/CN=demo",
        cwd=folder)
    for name, flags in guests.items():
        run(ashlar, "measure", "--name", name, *flags, "--manifest", folder / f"{name}.manifest")
        run("openssl", "cms", "-sign", "-binary", "-outform", "DER", "-in", f"{name}.manifest",
            "-signer", "signers.pem", "-inkey", "signer.key", "-out", f"{name}.manifest.cms",
            cwd=folder)


def verify(ashlar, bundle, references, name, nonce):
    """What `ashlar verify --json` says of guest `name`: (exit status, object)."""
    done = subprocess.run([ashlar, "verify", bundle, "--reference", references, "--guest", name,
                           "--nonce", nonce, "--json"], check=False, capture_output=True,
                          timeout=60)
    return done.returncode, json.loads(done.stdout)


def verify_with_tpm2_tools(bundle, references, nonce):
    """The same chain without Ashlar: (exit status, what it printed)."""
    done = subprocess.run([SCRIPT, bundle, nonce, references / "host-ak.pem"], check=False,
                          capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr
