# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes bzImages of one kernel with every payload compression, and its plain ELF, for tests.

Xen and Ashlar read only the setup header and the payload that it points to (Linux's
Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length), so of the code before
the payload only one paragraph of zeros is left: an offset of 0 would mean that there is none.
"""

import hashlib
import os
import struct
import subprocess

SETUP_SECTS = 0x1F1      # u8: sectors of setup code, without the boot sector
SYSSIZE = 0x1F4          # u32: protected-mode code, in 16-byte units
PAYLOAD_OFFSET = 0x248   # u32: from the start of the protected-mode code
PAYLOAD_LENGTH = 0x24C   # u32: bytes
SECTOR = 512
PARAGRAPH = 16
LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
XZ_MAGIC = b"\xfd7zXZ\x00"

# The tools as Linux's scripts/Makefile.lib calls them, at levels that are quick. All but gzip get the
# plain size appended.
COMPRESSORS = {
    "gzip": ["gzip", "-n", "-c", "-1"],
    "bzip2": ["bzip2", "-c", "-1"],
    "lzma": ["xz", "-c", "--format=lzma", "-0"],
    "xz": ["xz", "-c", "--check=crc32", "--x86", "--lzma2=preset=0"],
    "lz4": ["lz4", "-l", "-c", "-1"],
    "zstd": ["zstd", "-c", "-q", "-1"],
}


def all_payloads(source, folder):
    """Makes, or finds made already, the files for the lz4 bzImage `source`: {compression or "elf": path}.
    """
    key = hashlib.sha256(source.read_bytes() + __doc__.encode()
                         + repr(COMPRESSORS).encode()).hexdigest()[:16]
    targets = {name: folder / f"payload-{name}-{key}" for name in ("elf", *COMPRESSORS)}
    if not all(path.exists() for path in targets.values()):
        for stale in folder.glob("payload-*"):
            stale.unlink()
        _make(source.read_bytes(), targets)
    return targets


def plain_kernel(image):
    """The kernel's ELF of the bzImage `image`, in a file beside it."""
    target = image.with_name(image.name.replace("vmlinuz", "vmlinux"))
    if not target.exists():
        fresh = target.with_suffix(f".{os.getpid()}")
        fresh.write_bytes(plain_elf(image.read_bytes()))
        fresh.rename(target)
    return target


def plain_elf(image):
    """The kernel's ELF out of a bzImage with an lz4 or xz payload."""
    payload = _payload(image)
    tools = {LZ4_LEGACY_MAGIC: "lz4", XZ_MAGIC: "xz"}
    tool = next((tool for magic, tool in tools.items() if payload.startswith(magic)), None)
    if tool is None:
        raise SystemExit("the kernel to unpack has neither an lz4 nor an xz payload")
    size = struct.unpack("<I", payload[-4:])[0]
    elf = subprocess.run([tool, "-d", "-c"], input=payload[:-4], capture_output=True, check=True).stdout
    if len(elf) != size:
        raise SystemExit(f"the payload unpacked to {len(elf)} bytes and announces {size}")
    return elf


def _make(image, targets):
    elf = plain_elf(image)
    for name, command in COMPRESSORS.items():
        payload = subprocess.run(command, input=elf, capture_output=True, check=True).stdout
        if name != "gzip":
            payload += struct.pack("<I", len(elf))
        _write(targets[name], _with_payload(image, payload))
    _write(targets["elf"], elf)


def _payload(image):
    start = (image[SETUP_SECTS] + 1) * SECTOR
    offset, length = struct.unpack_from("<II", image, PAYLOAD_OFFSET)
    return image[start + offset:start + offset + length]


def _with_payload(image, payload):
    setup = bytearray(image[:(image[SETUP_SECTS] + 1) * SECTOR])
    struct.pack_into("<II", setup, PAYLOAD_OFFSET, PARAGRAPH, len(payload))
    code = bytes(PARAGRAPH) + payload + bytes(-len(payload) % PARAGRAPH)
    struct.pack_into("<I", setup, SYSSIZE, len(code) // PARAGRAPH)
    return bytes(setup) + code


def _write(target, content):
    # Renamed when complete: an interrupted run leaves no half file that looks made.
    part = target.with_name("part")
    part.write_bytes(content)
    part.rename(target)
