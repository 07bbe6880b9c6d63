# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the appliance boots on real Xen in QEMU: software emulation, no KVM, no devices but serial lines."""

import gzip
import os
from pathlib import Path

from appliance.kernels import kernel

XEN = Path("/boot/xen-4.17-amd64.gz")
XEN_ARGUMENTS = ("console=com1 com1=115200,8n1 dom0_mem=1024M,max:1024M dom0_max_vcpus=1 "
                 "noreboot=1 loglvl=warning guest_loglvl=warning")
DOM0_ARGUMENTS = "console=hvc0 quiet loglevel=3"
MEMORY_MIB = 3072


def qemu_command(xen, initrd, log, memory_mib=MEMORY_MIB, dom0_arguments="", limit_seconds=1800):
    """QEMU's command line for a boot; `initrd` is the appliance's. It ends itself at the limit."""
    dom0 = kernel("6.1").image
    return ["timeout", "--kill-after=5", str(limit_seconds), "qemu-system-x86_64",
            "-M", "q35", "-cpu", "qemu64,+svm,+npt", "-smp", "2", "-m", str(memory_mib),
            "-accel", "tcg,thread=multi", "-display", "none", "-monitor", "none",
            "-nodefaults", "-no-reboot", "-nic", "none",
            "-kernel", str(xen), "-append", XEN_ARGUMENTS,
            "-initrd", f"{dom0} {DOM0_ARGUMENTS} {dom0_arguments},{initrd}",
            "-serial", f"file:{log}"]


def unpack_xen(directory):
    """Unpacks the hypervisor: QEMU's multiboot loader takes the plain ELF."""
    target = Path(directory) / "xen"
    target.write_bytes(gzip.decompress(XEN.read_bytes()))
    return target


def available():
    """Why no machine can be booted here, or nothing."""
    if not XEN.exists():
        return f"{XEN} is not installed (package xen-hypervisor-4.17-amd64)"
    if not any(os.access(Path(d) / "qemu-system-x86_64", os.X_OK)
               for d in os.environ.get("PATH", "").split(":")):
        return "qemu-system-x86_64 is not installed (package qemu-system-x86)"
    return None
