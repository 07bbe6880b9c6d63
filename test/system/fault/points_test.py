#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Compares points.txt with what ashlar-constructor calls and with what ashlar-fault.so stands in for.

Usage: points_test.py POINTS CONSTRUCTOR SHIM
"""
import re
import subprocess
import sys

# Calls of the program that no fault goes into, and why.
LEFT_OUT = {
    "xc_domain_destroy": "cleaning up: its failure leaves a domain by definition",
    "xc_domain_getinfolist": "cleaning up",
    "xc_dom_release": "cannot fail",
    "xc_dom_translated": "cannot fail",
    "xc_dom_virt_base": "cannot fail",
    "xc_domain_iomem_permission": "for the boot manifest's domains alone: a failure ends the boot",
    "xc_domain_memory_mapping": "likewise",
    "xc_interface_close": "after the build",
    "xc_flask_context_to_sid": "for guests with a label, before there is a domain: Xen without XSM fails it by itself",
    "xc_flask_sid_to_context": "likewise",
    "xs_close": "after the build",
    "xs_directory": "linked, but only the broker lists nodes",
    "xs_read": "cleaning up",
}


def symbols(path, kind):
    """Names of dynamic symbols beginning with xc_ or xs_: kind U is used, T is defined."""
    listing = subprocess.run(["nm", "-D", path], check=True, capture_output=True, text=True).stdout
    return set(re.findall(rf"\b{kind} (x[cs]_\w+)", listing))


def difference(what, expected, found):
    """Complaints about two sets that should be the same."""
    return [f"{what}: {name} is missing" for name in sorted(expected - found)] + [
        f"{what}: {name} is not in points.txt" for name in sorted(found - expected)
    ]


def main():
    points_path, constructor, shim = sys.argv[1:]
    with open(points_path, encoding="ascii") as file:
        listed = file.read().split()
    points = set(listed)
    complaints = [] if len(points) == len(listed) else ["points.txt: a name is there twice"]
    complaints += difference("ashlar-fault.so", points, symbols(shim, "T"))
    complaints += difference("ashlar-constructor", points | LEFT_OUT.keys(), symbols(constructor, "U"))
    print("\n".join(complaints) or f"{len(points)} points, all called and all stood in for")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
