# SPDX-License-Identifier: LGPL-2.1-or-later
"""The settings files of the appliance, and the command lines of the domains that its builder starts."""

from typing import NamedTuple

from appliance.qemu import LEAN_GUEST

BUILDER_SETTINGS = """\
policy_directory = "/etc/ashlar/policy.d"
boot_manifest = "/etc/ashlar/boot.toml"
run_directory = "/run/ashlar"
socket = "/run/ashlar/ashlar.sock"
console_log_directory = "/var/log/xen/console"
libexec_directory = "/usr/libexec/ashlar"
"""

# What it would do without being told, said here so that it stays so: permissions hold, also for watches, and a
# guest's nodes, watches and requests are counted. And it is to write little: its logs are in the machine's memory.
XENSTORED_SETTINGS = """\
xenstored-kva = /proc/xen/xsd_kva
xenstored-port = /proc/xen/xsd_port
pid-file = /run/xenstored.pid
persistent = false
perms-activate = true
perms-watch-activate = true
quota-activate = true
quota-maxentity = 1000
quota-maxsize = 2048
quota-maxwatch = 100
quota-transaction = 10
quota-maxrequests = 1024
quota-path-max = 1024
quota-maxoutstanding = 1024
quota-maxwatchevents = 1024
access-log-nb-files = 0
xenstored-log-level = error
xenstored-log-nb-files = 1
xenstored-log-nb-lines = 1000
xenstored-log-nb-chars = 200
"""

SERVICE_KERNEL = "/boot/ashlar/service-vmlinuz"
# The TIS registers of the machine's TPM: 5 pages, a locality each (TCG PC Client Platform TPM Profile).
MANAGER_MANIFEST = """\
[[domain]]
name = "tpm-manager"
type = "pv"
vcpus = 1
memory_mib = {memory_mib}
kernel = "/boot/ashlar/service-vmlinuz"
initrds = ["/boot/ashlar/tpm-manager-initrd"]
command_line = "{command_line}"
essential = true
tpm_manager = true
iomem = [{{ first_page = 0xfed40, pages = 5 }}]

"""
VTPM_SETTINGS = """\

[vtpm]
kernel = "/boot/ashlar/service-vmlinuz"
initrd = "/boot/ashlar/vtpm-initrd"
command_line = "{command_line}"
memory_mib = {memory_mib}
"""


class CommandLines(NamedTuple):
    """Those of the domains that the builder starts by itself."""

    toolstack: str
    tpm_manager: str
    vtpm: str


def command_lines(more=""):
    """The command lines with some words more."""
    service = f"console=hvc0 quiet loglevel=3 panic=1 {more}".rstrip()
    return CommandLines(service, f"{service} tpm_tis.force=1 tpm_tis.interrupts=0", service)


PLAIN = command_lines()
# Without what an emulated processor only loses time with: mitigations, tests of algorithms that nobody calls.
EMULATED = command_lines(LEAN_GUEST)
SERVICE_MEMORY_MIB = 128

BOOT_MANIFEST = """\
[[domain]]
name = "{name}"
type = "pvh"
vcpus = 1
memory_mib = 512
kernel = "{kernel}"
initrds = ["/boot/ashlar/toolstack-initrd"]
command_line = "{command_line}"
requester = true
essential = {essential}
vtpm_state_store = {vtpm_state_store}
"""
