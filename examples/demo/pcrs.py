# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a guest's TPM must hold, computed from files and docs/measurements.md alone."""

import hashlib

BANKS = {"1.2": ("sha1",), "2.0": ("sha1", "sha256", "sha384")}
PROFILE_PCRS = {"uapi": (9, 11, 12), "grub": (8, 9), "pv-grub": (4, 5)}


def configuration(name, type, memory_mib, vtpm):
    """The canonical configuration text of a guest with one vCPU and the default actions."""
    memory_kib = memory_mib << 10
    return (f"ashlar-domain-configuration=2\nname={name}\ntype={type}\nvcpus=1\n"
            f"memory_kib={memory_kib}\nmax_memory_kib={memory_kib}\non_poweroff=destroy\n"
            f"on_reboot=restart\non_crash=destroy\nvtpm={vtpm}\n").encode()


def expected(version, configuration_text, kernel, command_line, initrds):
    """The PCRs of profile uapi, {bank: {PCR: hexadecimal value}}; files are given as bytes."""
    extensions = [(12, configuration_text), (11, kernel), (12, command_line)]
    extensions += [(9, initrd) for initrd in initrds or (b"",)]
    pcrs = {}
    for bank in BANKS[version]:
        values = {pcr: bytes(hashlib.new(bank).digest_size) for pcr in PROFILE_PCRS["uapi"]}
        for pcr, content in extensions:
            digest = hashlib.new(bank, content).digest()
            values[pcr] = hashlib.new(bank, values[pcr] + digest).digest()
        pcrs[bank] = {str(pcr): value.hex() for pcr, value in values.items()}
    return pcrs


def read(console, profile):
    """The profile's PCRs from what the guest printed: lines "guest-pcr BANK NUMBER VALUE"."""
    wanted = {str(pcr) for pcr in PROFILE_PCRS.get(profile, ())}
    pcrs = {}
    for line in console.splitlines():
        words = line.split()
        if len(words) == 4 and words[0] == "guest-pcr" and words[2] in wanted:
            pcrs.setdefault(words[1], {})[words[2]] = words[3].lower()
    return pcrs
