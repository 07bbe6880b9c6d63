# SPDX-License-Identifier: LGPL-2.1-or-later
"""The demo: a whole Xen host in QEMU, two guests built by Ashlar, two requests that it refuses.

It checks what the builder recorded, and what the guests read in their TPMs, against the images on this
machine, and its exit status says whether all was as asked. With --json the last line is one JSON object
with what the builder recorded.
"""

import argparse
import base64
import json
import secrets
import shlex
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import evidence  # noqa: E402 (beside this file)
import pcrs  # noqa: E402
import references  # noqa: E402
from appliance import host, images, qemu  # noqa: E402 (needs the path above)
from appliance.host import digest  # noqa: E402
from appliance.kernels import kernel  # noqa: E402

HERE = Path(__file__).resolve().parent
OUT = ROOT / "out" / "demo"
LIMIT_SECONDS = 600  # of the whole run in QEMU: 40 to 130 are usual, more on a loaded machine

# What toolstack.sh asks for.
GUESTS = {
    "web": {"type": "pv", "kernel": "web-vmlinuz", "vtpm": "1.2",
            "cmdline": f"console=hvc0 quiet {qemu.LEAN_GUEST} guest_name=web"},
    "db": {"type": "pvh", "kernel": "db-vmlinuz", "vtpm": "2.0",
           "cmdline": f"console=hvc0 quiet {qemu.LEAN_GUEST} guest_name=db"},
}
PROVEN = "db"  # the guest that gives evidence: only a TPM 2.0 does
MEMORY_MIB = 256
INITRD = "guest-initrd"
REFUSED = {
    "command-line": "guest web with the command line \"console=hvc0 init=/bin/sh\"",
    "changed-kernel": "guest web with a kernel of which one byte was changed",
}
DIGESTS = ("sha256", "sha384", "sha1")
FIRMWARE_REFERENCE = ("what the machine told at its enrolment, before the guests were built: trust on first use; "
                      "it shows that nothing changed since, not that the firmware is good")


def say(text):
    """One line for the person who looks on; standard output stays free for the result."""
    print(text, file=sys.stderr, flush=True)


def make_images(build, nonce):
    """Makes all images below OUT/images; gives the path of the appliance's. The toolstack asks for
    evidence with `nonce`."""
    folder = OUT / "images"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(kernel("6.1-cloud").image, folder / "web-vmlinuz")
    shutil.copyfile(kernel("6.12-cloud").image, folder / "db-vmlinuz")
    images.write_guest(folder / INITRD, build=build)
    sent = {f"/images/{name}": folder / name for name in ("web-vmlinuz", "db-vmlinuz", INITRD)}
    sent |= {"/images/nonce": nonce, "/images/parameters": qemu.LEAN_GUEST}
    toolstack = images.write_toolstack(folder / "toolstack-initrd", build, sent,
                                       demo=HERE / "toolstack.sh")
    recipe = host.appliance(folder, build, toolstack)
    recipe.policies |= host.fill(sorted((HERE / "policy.d").glob("*.toml")), {
        "db_kernel": digest(folder / "db-vmlinuz"),
        "guest_initrd": digest(folder / INITRD),
        "lean_parameters": qemu.LEAN_PARAMETERS,
    })
    return images.write_appliance(folder / "appliance-initrd", recipe)


def boot(initrd, log, tpm):
    """Boots the appliance and shows the demo's steps as they come; returns when it has powered off."""
    command = qemu.qemu_command(
        qemu.unpack_xen(OUT), initrd, limit_seconds=LIMIT_SECONDS,
        dom0_arguments=f"ashlar.relay=toolstack {qemu.WITHOUT_TPM_DRIVER}")
    started = time.monotonic()
    process = qemu.power_on(command + tpm.qemu_arguments(), log)
    with open(log, encoding="utf-8", errors="replace") as lines:
        try:
            while process.poll() is None:
                show_steps(lines, started)
                time.sleep(0.1)
            show_steps(lines, started)
        except BaseException:  # whatever ends the demo must not leave QEMU behind
            process.terminate()
            raise
    if process.returncode != 0:
        raise SystemExit(f"the machine did not power off by itself within {LIMIT_SECONDS} s: see {log}\n"
                         f"{process.stderr.read().decode(errors='replace')}")


def show_steps(lines, started):
    """Shows the steps among the new lines of the log."""
    while line := lines.readline():
        if "toolstack| demo-step " in line:
            text = line.split("demo-step ", 1)[1].strip()
            say(f"  {time.monotonic() - started:5.1f} s  {text}")


def read_answers(log):
    """The toolstack domain's lines: ({key: (status, answer)}, {key: text})."""
    answers, texts = {}, {}
    for line in log.read_text(errors="replace").splitlines():
        words = line.partition("toolstack| demo-")[2].strip().split(" ", 3)
        if words[0] == "json":
            answers[words[1]] = (int(words[2]), json.loads(words[3] if len(words) > 3 else "null"))
        if words[0] == "text":
            encoded = words[2] if len(words) > 2 else ""
            texts[words[1]] = base64.b64decode(encoded).decode(errors="replace")
    return answers, texts


@dataclass
class Verifier:
    """Who asks for evidence: what it has before the machine boots."""

    nonce: str
    host_key: bytes  # PEM: the machine's TPM, enrolled
    ashlar: Path     # the command


class Checks:
    """Collects what differs from what was asked."""

    def __init__(self):
        self.failures = []

    def equal(self, what, found, wanted):
        """Notes a difference."""
        if found != wanted:
            self.failures.append(f"{what} is {found!r}, not {wanted!r}")


def recorded_image(image, name):
    """What the builder recorded for an image, with the host's path of the file that was sent."""
    return {"path": str(OUT / "images" / name)} | {key: image.get(key) for key in DIGESTS}


def check_image(checks, what, image):
    """Compares the recorded digests with those of the file on this machine."""
    for algorithm in DIGESTS:
        checks.equal(f"the recorded {algorithm} of {what}", image[algorithm],
                     digest(image["path"], algorithm))


def read_vtpm(checks, name, info, console):
    """What the guest's own TPM holds, checked against the files that were sent."""
    asked = GUESTS[name]
    vtpm = {key: info.get("vtpm", {}).get(key) for key in ("version", "profile")}
    vtpm["pcrs"] = pcrs.read(console, vtpm["profile"])
    checks.equal(f"guest {name}: version of its TPM", vtpm["version"], asked["vtpm"])
    checks.equal(f"guest {name}: PCR profile", vtpm["profile"], "uapi")
    folder = OUT / "images"
    checks.equal(f"guest {name}: PCRs", vtpm["pcrs"], pcrs.expected(
        asked["vtpm"], pcrs.configuration(name, asked["type"], MEMORY_MIB, asked["vtpm"]),
        (folder / asked["kernel"]).read_bytes(), asked["cmdline"].encode(),
        [(folder / INITRD).read_bytes()]))
    return vtpm


def read_guest(checks, name, answers, texts):
    """One guest of the result, checked against what was asked."""
    asked = GUESTS[name]
    status, info = answers.get(f"info.{name}", (None, None))
    if status != 0 or not info:
        checks.failures.append(f"asking about guest {name} ended with {status}: {info}")
        return None
    guest = {key: info.get(key) for key in ("name", "type", "domid", "uuid", "cmdline")}
    guest["kernel"] = recorded_image(info["kernel"], asked["kernel"])
    guest["initrds"] = [recorded_image(image, INITRD) for image in info["initrds"]]
    guest["state"] = info.get("state")
    guest["console_tail"] = texts.get(f"console.{name}", "")
    guest["vtpm"] = read_vtpm(checks, name, info, guest["console_tail"])
    for key, wanted in (("name", name), ("type", asked["type"]), ("cmdline", asked["cmdline"]),
                        ("state", "running")):
        checks.equal(f"guest {name}: {key}", guest[key], wanted)
    checks.equal(f"guest {name}: number of initrds", len(guest["initrds"]), 1)
    for image in [guest["kernel"], *guest["initrds"]]:
        check_image(checks, f"{image['path']} (guest {name})", image)
    if f"guest-ready {name}" not in guest["console_tail"]:
        checks.failures.append(f"guest {name} did not say \"guest-ready {name}\" on its console")
    _, measurement = answers.get(f"measurement.{name}", (None, {}))
    measured = [event["sha256"] for event in measurement.get("events", [])
                if event["type"] in ("kernel", "initrd")]
    checks.equal(f"the images in the measurement of guest {name}", measured,
                 [image["sha256"] for image in [guest["kernel"], *guest["initrds"]]])
    return guest


def read_evidence(checks, name, texts, verifier, guests):
    """A guest's evidence, verified in three ways: by `ashlar verify`, by tpm2-tools in a shell, and by
    this program; all with the verifier's nonce and the enrolled key of the machine's TPM."""
    bundle = evidence.read(texts.get(f"evidence.{name}", ""), verifier.nonce)
    guest = next((guest for guest in guests if guest["name"] == name), None)
    if not bundle or not guest:
        checks.failures.append(f"guest {name} gave no evidence: {texts.get(f'evidence.{name}')}")
        return None
    path = OUT / f"{name}.bundle"
    path.write_bytes(bundle)
    # What the files say: read_vtpm() has compared the guest's own words with it.
    problems = evidence.check(bundle, verifier.nonce, verifier.host_key,
                              guest["vtpm"]["pcrs"].get("sha256", {}))
    checks.failures += [f"evidence of guest {name}: {problem}" for problem in problems]
    folder = OUT / "references"
    shutil.rmtree(folder, ignore_errors=True)
    references.write(folder, verifier.ashlar, verifier.host_key, texts.get("enrolled.pcrs", ""),
                     {name: measure_flags(name)})
    checks.equal("the key that the machine told at its enrolment", texts.get("enrolled.key", "").encode(),
                 verifier.host_key)
    status, verified = references.verify(folder, verifier.ashlar, path, name, verifier.nonce)
    checks.equal(f"`ashlar verify` of guest {name}'s evidence", (status, verified.get("ok")), (0, True))
    checks.equal("the firmware's PCRs, compared with those of the enrolment",
                 [link["state"] for link in verified.get("links", []) if link["name"] == "firmware"], ["ok"])
    status, printed = references.verify_with_tpm2_tools(folder, path, verifier.nonce)
    checks.equal(f"verify-with-tpm2-tools.sh of guest {name}'s evidence", (status, printed if status else ""),
                 (0, ""))
    command = references.verify_command(shown(folder), shown(verifier.ashlar), shown(path), name, verifier.nonce)
    return {"guest": name, "nonce": verifier.nonce, "bundle": str(path), "ok": verified.get("ok"),
            "command": shlex.join(command), "firmware_reference": FIRMWARE_REFERENCE, "links": verified.get("links")}


def shown(path):
    """A path as it is typed in the project's folder, if it is inside."""
    path = path.resolve()
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def measure_flags(name):
    """The flags of `ashlar measure` for a guest of the demo."""
    asked = GUESTS[name]
    folder = OUT / "images"
    return ("--type", asked["type"], "--kernel", folder / asked["kernel"], "--initrd", folder / INITRD,
            "--cmdline", asked["cmdline"], "--memory", MEMORY_MIB, "--vcpus", 1, "--vtpm", asked["vtpm"])


def read_refusal(checks, key, answers):
    """One refused request of the result."""
    status, answer = answers.get(f"refused.{key}", (None, None))
    error = (answer or {}).get("error", {})
    checks.equal(f"the answer to {REFUSED[key]}", (status, error.get("kind")), (3, "refused"))
    return {"request": REFUSED[key], "reason": error.get("reason") or error.get("message"),
            # No rule's name: what no rule allows is refused.
            "rule": error.get("rule") or "default deny"}


def result_of(answers, texts, verifier):
    """The result as --json prints it, and what was not as asked."""
    checks = Checks()
    _, version = answers.get("version", (None, {}))
    requester = {key: (version or {}).get(key) for key in ("transport", "domid")}
    checks.equal("the transport", requester["transport"], "vchan")
    guests = [guest for name in GUESTS if (guest := read_guest(checks, name, answers, texts))]
    refused = [read_refusal(checks, key, answers) for key in REFUSED]
    status, machine = answers.get("host", (None, None))
    checks.equal("the exit status of `ashlar host`", status, 0)
    # The TPM Manager, the toolstack, and each guest with its vTPM.
    checks.equal("the number of records in the host PCR", (machine or {}).get("log_events"),
                 2 + 2 * len(GUESTS))
    _, after = answers.get("list-after", (None, None))
    checks.equal("the list of domains after the guests were destroyed", after, [])
    proof = read_evidence(checks, PROVEN, texts, verifier, guests)
    return {"requester": requester, "guests": guests, "refused": refused,
            "host": machine, "evidence": proof}, checks.failures


def summary(result):
    """The result for people."""
    lines = [f"the toolstack is domain {result['requester']['domid']}, "
             f"connected by {result['requester']['transport']}"]
    for guest in result["guests"]:
        lines.append(f"guest {guest['name']}: {guest['type']}, domain {guest['domid']}, "
                     f"{guest['state']}, command line \"{guest['cmdline']}\"")
        for image in [guest["kernel"], *guest["initrds"]]:
            lines.append(f"  sha256 {image['sha256']}  {Path(image['path']).relative_to(ROOT)}")
        lines.append(f"  TPM {guest['vtpm']['version']}, as read in the guest:")
        for bank, values in guest["vtpm"]["pcrs"].items():
            lines += [f"    {bank} PCR {pcr:>2} {value}" for pcr, value in values.items()]
    if result["host"]:
        lines.append(f"hardware TPM: PCR {result['host']['pcr']} covers "
                     f"{result['host']['log_events']} domains, sha256 {result['host']['sha256']}")
    if result["evidence"]:
        proof = result["evidence"]
        lines.append(f"guest {proof['guest']} proves what it was built from, for the nonce {proof['nonce']}: "
                     f"{Path(proof['bundle']).relative_to(ROOT)}")
        lines += [f"  {link['state']:9} {link['name']}: {link['reason']}" for link in proof["links"] or []]
        lines += [f"  (the firmware's PCRs are compared with {proof['firmware_reference']})",
                  "  Ask again yourself; with another nonce, guest or changed byte it must fail:",
                  f"    {proof['command']}"]
    for refusal in result["refused"]:
        lines.append(f"refused: {refusal['request']}")
        lines.append(f"  {refusal['reason']}")
    return "\n".join(lines)


def main():
    """Runs the demo; gives the exit status."""
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--keep", action="store_true", help="keep the appliance's image")
    parser.add_argument("--build", type=Path, default=ROOT / "build", help="Meson's build directory")
    options = parser.parse_args()
    say("making the images")
    nonce = secrets.token_hex(evidence.NONCE_BYTES)
    initrd = make_images(options.build, nonce)
    log = OUT / "console.log"
    say(f"booting Xen and the appliance in QEMU (its console: {log.relative_to(ROOT)})")
    with qemu.SoftwareTpm(enrol=True) as tpm:
        boot(initrd, log, tpm)
    verifier = Verifier(nonce, tpm.attestation_key, options.build / "cli" / "ashlar")
    result, failures = result_of(*read_answers(log), verifier)
    if not options.keep:
        initrd.unlink()
    print(summary(result), file=sys.stderr if options.json else sys.stdout, flush=True)
    for failure in failures:
        say(f"NOT AS ASKED: {failure}")
    if failures:
        say(f"the console's log is {log}")
    else:
        say("all as asked: digests and PCRs are those of the files on this machine, and the evidence holds")
    if options.json:
        print(json.dumps(result))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
