# SPDX-License-Identifier: LGPL-2.1-or-later
"""Boots in QEMU what ./dev image wrote, with the arguments of its own GRUB menu entry."""

import contextlib
import re
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from appliance import qemu

LIMIT_SECONDS = 900
MEMORY_MIB = 6144


def grub_entry(text):
    """The arguments of Xen and of its first module, in a menu entry."""
    xen = re.search(r"multiboot2 \S+ (.*)", text)[1]
    dom0 = re.search(r"module2 \S+/vmlinuz (.*)", text)[1]
    return xen, dom0


def boot(folder, tpm):
    """Boots until each domain of the boot manifest is built, and shows the console; gives the exit status."""
    xen_arguments, dom0_arguments = grub_entry((folder / "grub.cfg").read_text())
    manifest = tomllib.loads((folder / "inside/etc/ashlar/boot.toml").read_text())
    missing = {domain["name"] for domain in manifest.get("domain", [])}
    modules = (f"{folder}/boot/vmlinuz {dom0_arguments}", f"{folder}/boot/initrd")
    with tempfile.TemporaryDirectory(prefix="ashlar-trial-") as work, contextlib.ExitStack() as stack:
        command = qemu.multiboot_command(qemu.unpack_xen(work, folder / "boot/xen.gz"), xen_arguments, modules,
                                         MEMORY_MIB, LIMIT_SECONDS)
        if tpm:
            command += stack.enter_context(qemu.SoftwareTpm()).qemu_arguments()
        log = Path(work) / "console.log"
        process = qemu.power_on(command, log)
        try:
            with open(log, encoding="utf-8", errors="replace") as console:
                _follow(process, console, missing)
        finally:
            process.terminate()
            process.wait(20)
    if missing:
        print(f"not built within {LIMIT_SECONDS} s: {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    print("every domain of the boot manifest is built")
    return 0


def _follow(process, console, missing):
    """Shows the console, and takes each domain off the set `missing` when it is built, until none is left."""
    line = ""
    while missing:
        more = console.readline()
        if not more and process.poll() is not None:
            return
        print(more, end="", flush=True)
        line += more
        if not line.endswith("\n"):
            time.sleep(0.1)
            continue
        built = re.search(r"domain \d+ \((\S+)\) of the boot manifest is built", line)
        if built:
            missing.discard(built[1])
        line = ""
