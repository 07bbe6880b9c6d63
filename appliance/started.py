# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a builder starts by itself, looked at before the machine boots: are its images there, does the policy let it?"""

import subprocess
import tomllib

BOOT_MANIFEST = "/etc/ashlar/boot.toml"
SETTINGS = "/etc/ashlar/builder.toml"
VTPM_NAME = "vtpm-00000000-0000-0000-0000-000000000001"
# Where the image has what the builder is to find; the settings must say the same.
PLACES = {"policy_directory": "/etc/ashlar/policy.d", "boot_manifest": BOOT_MANIFEST,
          "run_directory": "/run/ashlar", "console_log_directory": "/var/log/xen/console",
          "libexec_directory": "/usr/libexec/ashlar"}


def check_domains(files, inside, ashlar):
    """Ends the program with a message unless the builder could start each of its domains.

    `files` is what the builder reads (path -> text or host Path), `inside` the folder with them; `ashlar` is the command.
    """
    policy = inside / "etc/ashlar/policy.d"
    _run([ashlar, "policy", "check", policy], f"the policy {policy} does not load")
    settings = _read(files, SETTINGS)
    for key, place in PLACES.items():
        if settings.get(key) != place:
            raise SystemExit(f'{SETTINGS} must have {key} = "{place}": that is where it is in the image')
    requester = _builder_itself(policy)
    for domain in started(files):
        for path in (domain["kernel"], *domain.get("initrds", [])):
            if path not in files:
                raise SystemExit(f"{domain['name']} is to be started from {path}, which is not in the image: "
                                 "give the file with --boot-image")
        flags = ["--name", domain["name"], "--type", domain.get("type", "pvh"),
                 "--kernel", inside / domain["kernel"].lstrip("/"), "--cmdline", domain.get("command_line", ""),
                 "--memory", str(domain["memory_mib"]), "--vcpus", str(domain.get("vcpus", 1))]
        for initrd in domain.get("initrds", []):
            flags += ["--initrd", inside / initrd.lstrip("/")]
        _run([ashlar, "policy", "explain", policy, "--as", requester, *flags],
             f"the policy {policy} does not let the builder start {domain['name']}")


def started(files):
    """The domains of the boot manifest, and one for a vTPM: as tables of the boot manifest."""
    domains = _read(files, BOOT_MANIFEST).get("domain", [])
    vtpm = _read(files, SETTINGS).get("vtpm")
    if vtpm:
        domains.append({"memory_mib": 96} | vtpm | {"name": VTPM_NAME, "initrds": [vtpm["initrd"]]})
    return domains


def _read(files, path):
    try:
        return tomllib.loads(files[path])
    except tomllib.TOMLDecodeError as error:
        raise SystemExit(f"{path}: {error}") from None


def _builder_itself(policy):
    """The name of the policy's requester that stands for the builder itself."""
    for file in sorted(policy.glob("*.toml")):
        for requester in tomllib.loads(file.read_text()).get("requester", []):
            if requester.get("boot"):
                return requester["name"]
    raise SystemExit(f"the policy {policy} has no requester with boot = true: the builder could start nothing")


def _run(command, problem):
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{problem}:\n{done.stdout}{done.stderr}")
