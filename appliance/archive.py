# SPDX-License-Identifier: LGPL-2.1-or-later
"""A writer of newc cpio archives, the format of Linux initramfs images.

The same contents give the same bytes: entries are sorted, owned by root and dated 1970. The format is
the one of Documentation/driver-api/early-userspace/buffer-format.rst in the Linux source.
"""

import posixpath
import stat
import subprocess
from pathlib import Path

# Quick, and with a window that finds again what two of an archive's files have in common.
PACK = ("zstd", "-q", "-3", "--long=24")


class Archive:
    """A file tree in memory. Paths are absolute; parent directories are added as needed."""

    def __init__(self):
        self._entries = {}  # path without leading slash -> (mode, content, (major, minor))

    def __contains__(self, path):
        return path.strip("/") in self._entries

    def directory(self, path, mode=0o755):
        """Adds a directory."""
        self._add(path, stat.S_IFDIR | mode, b"")

    def file(self, path, content, mode=0o644):
        """Adds a regular file; `content` is bytes, text, or the Path of a host file to copy."""
        if isinstance(content, Path):
            content = content.read_bytes()
        elif isinstance(content, str):
            content = content.encode()
        self._add(path, stat.S_IFREG | mode, content)

    def program(self, path, content):
        """Adds an executable file."""
        self.file(path, content, 0o755)

    def link(self, path, target):
        """Adds a symbolic link."""
        self._add(path, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path, major, minor, mode=0o600):
        """Adds a character device node."""
        self._add(path, stat.S_IFCHR | mode, b"", (major, minor))

    def write(self, target, packed=False):
        """Writes the archive to the host file `target`, replacing it in one step. `packed`: compressed, for the kernel
        to unpack."""
        part = target.with_name(target.name + ".part")
        with open(part, "wb") as out:
            for number, path in enumerate(sorted(self._entries, key=lambda p: p.split("/")), 1):
                mode, content, device = self._entries[path]
                _write_entry(out, number, path, mode, content, device)
            _write_entry(out, 0, "TRAILER!!!", 0, b"", (0, 0))
        if packed:
            subprocess.run([*PACK, "-f", "--rm", part, "-o", f"{part}.zst"], check=True)
            part = Path(f"{part}.zst")
        part.replace(target)
        return target

    def _add(self, path, mode, content, device=(0, 0)):
        path = path.strip("/")
        parent = posixpath.dirname(path)
        if parent and parent not in self._entries:
            self.directory(parent)
        self._entries[path] = (mode, content, device)


def _write_entry(out, number, path, mode, content, device):
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, *device, len(name), 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    out.write(header + name + bytes(-(len(header) + len(name)) % 4))
    out.write(content)
    out.write(bytes(-len(content) % 4))
