# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian's Xen as it is installed here: 4.17 on Debian 12. Its programs and the hypervisor are of one version, and so are
the libraries that Ashlar is linked with."""

import re
from pathlib import Path

PACKAGE = "xen-system-amd64"


def _newest():
    """The version of the newest hypervisor whose programs are there too, or that of Debian 12."""
    versions = (re.fullmatch(r"xen-(\d+)\.(\d+)-amd64\.gz", file.name) for file in Path("/boot").glob("xen-*-amd64.gz"))
    numbers = sorted((int(found[1]), int(found[2])) for found in versions if found)
    there = [f"{major}.{minor}" for major, minor in numbers if Path(f"/usr/lib/xen-{major}.{minor}/bin").is_dir()]
    return there[-1] if there else "4.17"


VERSION = _newest()
HYPERVISOR = Path(f"/boot/xen-{VERSION}-amd64.gz")
PROGRAMS = Path(f"/usr/lib/xen-{VERSION}/bin")
# What oxenstored loads when it starts: since Xen 4.20 its view of Xen's unstable calls is a file of its own.
STORE_PLUGINS = sorted(PROGRAMS.parent.glob("ocaml/xsd_glue/*/*.cmxs"))
