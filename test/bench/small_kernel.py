# SPDX-License-Identifier: LGPL-2.1-or-later
"""A kernel of one page, for guests that are built and never run: what a build costs without the images."""

import struct

BASE = 0x100000
PAGE = 0x1000
PHYS32_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY of xen/include/public/elfnote.h


def small_kernel():
    """An ELF64 that Xen takes for a PVH kernel: one page of code (`hlt; jmp`), and the note with its entry."""
    note = struct.pack("<III4sI", 4, 4, PHYS32_ENTRY, b"Xen\0", BASE)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, BASE, 64, 0, 0,
                         64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, PAGE, BASE, BASE, PAGE, PAGE, PAGE)
    notes = struct.pack("<IIQQQQQQ", 4, 4, 64 + 2 * 56, 0, 0, len(note), len(note), 4)
    head = header + load + notes + note
    return head + bytes(PAGE - len(head)) + b"\xf4\xeb\xfd" + bytes(PAGE - 3)
