# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pieces that several images are made of: a skeleton, host programs with their libraries, busybox."""

import functools
import re
import subprocess
import tempfile
from pathlib import Path

from appliance import xen
from appliance.archive import Archive

BUSYBOX = Path("/bin/busybox")

# glibc opens it with dlopen for thread cancellation, which xl uses: ldd does not show it.
UNWINDER = Path("/lib/x86_64-linux-gnu/libgcc_s.so.1")


def skeleton():
    """An archive with the directories and links of a merged-/usr system and /dev/console."""
    archive = Archive()
    for path in ("/dev", "/proc", "/sys", "/run", "/tmp", "/etc", "/root", "/var/log",
                 "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64"):
        archive.directory(path)
    for name in ("bin", "sbin", "lib", "lib64"):
        archive.link(f"/{name}", f"usr/{name}")
    archive.link("/var/run", "../run")
    archive.character_device("/dev/console", 5, 1)
    archive.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/\n")
    archive.file("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
    return archive


def add_xl(archive):
    """Adds xl with its settings, and a link where a shell finds it."""
    add_program(archive, xen.PROGRAMS / "xl")
    archive.link("/usr/sbin/xl", f"../..{xen.PROGRAMS / 'xl'}")
    archive.file("/etc/xen/xl.conf", "")


def add_program(archive, source, path=None):
    """Copies a program of the host, to `path` or where it is, and every library that it loads."""
    source = Path(source)
    if not source.is_file():
        raise SystemExit(f"{source} is not there: run ./dev setup and ./dev build")
    archive.program(merged(path or str(source)), without_debug_information(source))
    # All that it loads, however deep: a library asked alone might not find what lies beside it.
    for library in libraries(source):
        archive.program(merged(str(library)), library)


@functools.lru_cache(maxsize=None)
def without_debug_information(program):
    """A program's bytes without what only a debugger needs: nine tenths of a fresh build."""
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, program], check=True)
        return Path(stripped.name).read_bytes()


def add_library(archive, library):
    """Copies a shared library of the host, and what it loads."""
    for file in [library, *libraries(library)]:
        archive.program(merged(str(file)), file)


def merged(path):
    """A path with /bin, /sbin, /lib, /lib64 written as the directories of /usr that they link to."""
    return re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", path)


@functools.lru_cache(maxsize=None)
def libraries(program):
    """The shared libraries that ldd(1) finds for a program, the loader among them."""
    out = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    missing = re.search(r"^\s*(\S+) => not found", out.stdout, re.MULTILINE)
    if missing:
        raise SystemExit(f"{program} needs {missing.group(1)}, which is not installed")
    return tuple(Path(found) for found in re.findall(r"(/\S+) \(0x", out.stdout))


def add_busybox(archive):
    """Copies busybox and links each of its commands that the archive does not have otherwise."""
    archive.program("/usr/bin/busybox", BUSYBOX)
    for name in _busybox_commands():
        if f"/usr/bin/{name}" not in archive:
            archive.link(f"/usr/bin/{name}", "busybox")
    for name in ("poweroff", "reboot"):
        if f"/usr/sbin/{name}" not in archive:
            archive.link(f"/usr/sbin/{name}", "../bin/busybox")


@functools.lru_cache(maxsize=None)
def _busybox_commands():
    out = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return tuple(name for name in out.stdout.split() if name != "busybox")


def add_modules(archive, kernel, names, parameters=None):
    """Copies kernel modules; returns the lines "path parameters…" in load order."""
    lines = []
    for file in kernel.modules(names):
        path = f"/usr/lib/modules/{file.name}"
        archive.file(path, file)
        lines.append(f"{path} {(parameters or {}).get(file.stem, '')}".rstrip())
    return lines
