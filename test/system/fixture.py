# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the system tests boot: images, the policy, and what must be as before after each test."""

import functools
import threading
import time
from pathlib import Path

from appliance import host, images, qemu, repack
from appliance.host import digest
from appliance.kernels import kernel
from machine import Machine

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = ROOT / "out" / "system"
POLICY = HERE / "policy"
DEBIAN_CERTIFICATE = ROOT / "examples" / "policies" / "vtpm-required" / "05-debian.toml"
# A backend is silent by design in one test, and the others wait for scripts in a domain that is slow.
DEVICE_SECONDS = 45
SETTLE_SECONDS = 20  # a destroyed domain's pages and nodes go a moment after the answer

# The images in the toolstack domain, by name below /images.
TRUNCATED_BYTES = 2_000_000


class Images:
    """Makes the images once for all test files."""

    def __init__(self, build):
        self.build = build
        self.folder = OUT / "images"
        self.folder.mkdir(parents=True, exist_ok=True)
        lz4 = kernel("6.1-cloud").image
        self.kernels = {"pv": lz4, "pvh": kernel("6.12-cloud").image}
        self.kernels |= {f"payload-{name}": path
                         for name, path in repack.all_payloads(lz4, self.folder).items()}
        self.kernels["truncated"] = self.folder / "truncated"
        self.kernels["truncated"].write_bytes(lz4.read_bytes()[:TRUNCATED_BYTES])
        self.initrds = {
            "guest": images.write_guest(self.folder / "guest"),
            "tpm-guest": images.write_guest(self.folder / "tpm-guest", build=build),
            "guest-devices": images.write_guest_devices(self.folder / "guest-devices"),
            "extra-1": images.write_extra_initrd(self.folder / "extra-1", {"/extra-1": "one"}),
            "extra-2": images.write_extra_initrd(self.folder / "extra-2", {"/extra-2": "two"}),
        }
        self.driver_domain = images.write_driver_domain(self.folder / "driver-domain")
        self.tpm_tools = images.write_tpm_tools(self.folder / "tpm-tools")

    @functools.cache
    def toolstack(self, kernels):
        """The toolstack domain's initramfs: a shell, every initrd and the named kernels to send.

        The tools for TPMs, which are large, come with "tpm-tools" among the kernels, and what a driver
        domain has, with "driver-domain".
        """
        images_of = self.kernels | {"tpm-tools": self.tpm_tools, "driver-domain": self.driver_domain}
        sent = {name: images_of[name] for name in kernels} | self.initrds
        files = {f"/images/{name}": path for name, path in sent.items()}
        programs = {"/usr/bin/ashlar-rogue": self.build / "test/system/client/ashlar-rogue"}
        return images.write_toolstack(self.folder / "-".join(("toolstack", *kernels)),
                                      self.build, files, extra_programs=programs)

    @functools.cache
    def tpm_manager(self, vtpm_kernel, preload=None):
        """The initramfs of the TPM Manager's domain, which lets in vTPMs of this kernel."""
        approved = (digest(self.kernels[vtpm_kernel]), digest(self.vtpm()))
        name = f"tpm-manager-{vtpm_kernel}{'-preload' * bool(preload)}"
        return images.write_tpm_manager(self.folder / name, self.build, [approved], preload)

    @functools.cache
    def vtpm(self):
        """The initramfs of vTPM domains."""
        return images.write_vtpm(self.folder / "vtpm", self.build)

    def policies(self, toolstack, tpm_manager):
        """The tests' policy files, with the digests of these images and of those two initrds."""
        known = self.kernels | self.initrds | {
            "tpm_tools": self.tpm_tools, "toolstack_kernel": self.kernels["pv"], "toolstack_initrd": toolstack,
            "tpm_manager_initrd": tpm_manager, "vtpm_initrd": self.vtpm()}
        values = {name.replace("-", "_"): digest(path) for name, path in known.items()}
        values["lean_parameters"] = qemu.LEAN_PARAMETERS
        values |= {f"{domain}_command_line": line for domain, line in images.EMULATED._asdict().items()}
        certificate = {DEBIAN_CERTIFICATE.name: DEBIAN_CERTIFICATE.read_text()}
        return certificate | host.fill(sorted(POLICY.glob("*.toml")), values)


# Files whose machines run side by side share toolstack images.
_making = threading.Lock()


def boot(made, name, builder=True, kernels=("pv", "pvh", "driver-domain"), preload=None, dom0_arguments="",
         files=None, memory_mib=4096, second_toolstack=False, tpm=False, approved_vtpm="pv",
         manager_preload=None, programs=()):
    """A machine with the debug appliance. Without the builder there is no toolstack domain either.

    `kernels` are those that the toolstack domain has below /images; `preload` names a library of the
    build directory for every program of the appliance; `files` (path -> content) go into it, and
    `programs` of this machine with their libraries;
    `tpm` gives the machine a TPM, and a domain with the TPM Manager, which lets in vTPMs with the
    kernel `approved_vtpm`: they have "pv"; `manager_preload` is like `preload`, for the TPM Manager;
    `second_toolstack` adds a toolstack domain "toolstack-2" that is not essential.
    """
    with _making:
        toolstack = made.toolstack(tuple(kernels)) if builder else None
        tpm_manager = made.tpm_manager(approved_vtpm, manager_preload)
        initrd = images.write_appliance(made.folder / f"appliance-{name}", images.Appliance(
            build=made.build, debug=True, device_seconds=DEVICE_SECONDS,
            with_builder=builder, second_toolstack=second_toolstack,
            toolstack_kernel=made.kernels["pv"] if builder else None, toolstack_initrd=toolstack,
            policies=made.policies(toolstack, tpm_manager) if builder else {},
            service_kernel=made.kernels["pv"] if tpm else None,
            tpm_manager_initrd=tpm_manager if tpm else None,
            vtpm_initrd=made.vtpm() if tpm else None,
            preload=made.build / preload if preload else None, files=files or {},
            programs=programs))
    if not builder:
        dom0_arguments += " ashlar.builder=manual"
    return Machine(initrd, OUT / f"{name}.log", memory_mib, dom0_arguments, toolstack=builder,
                   tpm=tpm)


def state(machine):
    """What must not change over a test, as one text. /libxl and /vm count entries: names are random."""
    return machine.dom0.check("ashlar-machine-state")


def settled_state(machine, wanted):
    """The state, once it is as wanted or a bounded wait is over."""
    end = time.monotonic() + SETTLE_SECONDS
    while (found := state(machine)) != wanted and time.monotonic() < end:
        time.sleep(0.5)
    return found


def difference(before, after):
    """Which lines of the state differ, or nothing."""
    lines = [f"left behind: {new} (before: {old})"
             for old, new in zip(before.splitlines(), after.splitlines()) if old != new]
    return "\n".join(lines) or None
