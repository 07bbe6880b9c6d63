# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's kernels for the images, and programs for guests alone: downloaded as packages and unpacked,
never installed."""

import json
import lzma
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "kernels"
LISTS = Path("/var/lib/apt/lists")  # apt's, of what there is; its time is that of the last change

# Flavour -> the meta-package that names the newest version. 6.1 runs in domain 0 (it has
# XEN_DOM0; its payload is xz), the cloud kernels are for guests (lz4 and zstd payloads).
META_PACKAGES = {
    "6.1": "linux-image-amd64",
    "6.1-cloud": "linux-image-cloud-amd64",
    "6.12-cloud": "linux-image-6.12-cloud-amd64",
}

# Installed, trousers would start a daemon on this machine.
GUEST_PACKAGES = ("trousers", "tpm-tools")


class Kernel:
    """One unpacked kernel package."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.image = next((self.directory / "boot").glob("vmlinuz-*"))
        self.release = self.image.name.removeprefix("vmlinuz-")

    def module(self, name):
        """The file of a module, unpacked; dashes and underscores in names mean the same."""
        wanted = name.replace("-", "_")
        for path in (self.directory / "lib" / "modules" / self.release).rglob("*.ko*"):
            if path.name.split(".")[0].replace("-", "_") != wanted:
                continue
            if path.suffix == ".ko":
                return path
            if path.suffix == ".xz":
                return _unpacked(path)
        raise SystemExit(f"kernel {self.release} has no module {name}")

    def modules(self, names):
        """Module files in load order: each after all that its modinfo says it depends on."""
        ordered = []
        for name in names:
            path = self.module(name)
            depends = re.search(rb"\0depends=([^\0]*)\0", b"\0" + path.read_bytes())
            needed = depends.group(1).decode().split(",") if depends and depends.group(1) else []
            for file in [*self.modules(needed), path]:
                if file not in ordered:
                    ordered.append(file)
        return ordered


def _unpacked(path):
    """A module without its compression, beside it: kernels refuse modules that are packed otherwise."""
    target = path.with_suffix("")
    if not target.exists():
        fresh = target.with_suffix(".new")
        fresh.write_bytes(lzma.decompress(path.read_bytes()))
        fresh.rename(target)
    return target


def fetch():
    """Brings the newest package of each flavour into the cache; says what it does."""
    CACHE.mkdir(parents=True, exist_ok=True)
    index = _index()
    if _current(index):
        return
    for flavour, meta in META_PACKAGES.items():
        package = _newest(meta)
        directory = CACHE / package
        if not directory.is_dir():
            print(f"kernel {flavour}: downloading and unpacking {package}", flush=True)
            _unpack(package, directory)
        index[flavour] = package
    for package in GUEST_PACKAGES:
        if not (CACHE / package).is_dir():
            print(f"{package}: downloading and unpacking it for guests", flush=True)
            _unpack(package, CACHE / package)
    _index_file().write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


def _current(index):
    """Is all there, and the newest that apt knows of? apt itself needs a second for each answer."""
    packages = [*(index.get(flavour, "none") for flavour in META_PACKAGES), *GUEST_PACKAGES]
    return (all((CACHE / package).is_dir() for package in packages) and LISTS.exists()
            and _index_file().stat().st_mtime > LISTS.stat().st_mtime)


def kernel(flavour):
    """The cached kernel of a flavour."""
    package = _index().get(flavour)
    if package is None or not (CACHE / package).is_dir():
        raise SystemExit(f"kernel {flavour} is not in {CACHE}: run ./dev setup")
    return Kernel(CACHE / package)


def guest_package(name):
    """The directory with the files of one of GUEST_PACKAGES."""
    if not (CACHE / name).is_dir():
        raise SystemExit(f"package {name} is not in {CACHE}: run ./dev setup")
    return CACHE / name


def _index_file():
    return CACHE / "index.json"


def _index():
    return json.loads(_index_file().read_text()) if _index_file().exists() else {}


def _newest(meta):
    out = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True, check=True)
    found = re.search(r"Depends: (linux-image-\S+)", out.stdout)
    if not found:
        raise SystemExit(f"apt-cache knows no kernel for {meta}: run apt-get update")
    return found.group(1)


def _unpack(package, directory):
    downloads = CACHE / "downloads"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir()
    subprocess.run(["apt-get", "download", "-q", package], cwd=downloads, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = directory.with_name(directory.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", next(downloads.glob("*.deb")), part], check=True)
    part.rename(directory)
    shutil.rmtree(downloads)


if __name__ == "__main__":
    fetch()
