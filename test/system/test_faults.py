# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fault at every call of the constructor into Xen's libraries: no half-built domain survives.

The harness looks after each test whether a domain, a node or a process is left behind.
"""

import functools
from pathlib import Path

import steps

# The machine of test_restart, too.
BOOT = {"preload": "test/system/fault/ashlar-fault.so",
        "kernels": ("pv", "payload-elf", "payload-xz")}

POINTS = (Path(__file__).resolve().parent / "fault" / "points.txt").read_text().split()
PVH_ONLY = {"xc_hvm_param_set", "xc_set_paging_mempool_size", "xc_domain_set_memory_map"}

# What the error has to say was being done.
DOING = {
    "xc_interface_open": "opening the hypervisor's interface",
    "xs_open": "connecting to xenstored",
    "xc_physinfo": "asking the hypervisor what the machine can do",
    "xc_domain_create": "creating a domain",
    "xc_domain_max_vcpus": "its 1 vCPUs",
    "xc_domain_setmaxmem": "to 131072 KiB",
    "xc_domain_set_memmap_limit": "setting the memory map of domain",
    "xc_hvm_param_set": "setting the timer mode of domain",
    "xc_set_paging_mempool_size": "for the page tables of domain",
    "xc_domain_set_tsc_info": "setting the clock mode of domain",
    "xc_cpuid_apply_policy": "setting the CPU features of domain",
    "xc_evtchn_alloc_unbound": "event channel for xenstored",
    "xc_dom_loginit": "directing libxenguest's messages",
    "xc_dom_allocate": "allocating the image",
    "xc_dom_kernel_mem": "taking the kernel",
    "xc_dom_module_max_size": "limiting the size of the initrd",
    "xc_dom_module_mem": "taking the initrd",
    "xc_dom_boot_xen_init": "asking the hypervisor for its capabilities",
    "xc_dom_parse_image": "reading the kernel",
    "xc_dom_mem_init": "sizing its memory",
    "xc_dom_boot_mem_init": "populating its memory",
    "xc_domain_set_memory_map": "setting its memory map",
    "xc_dom_build_image": "loading kernel and initrd",
    "xc_dom_boot_image": "preparing its first vCPU",
    "xc_dom_gnttab_init": "granting the pages of console and xenstore",
    "xs_transaction_start": "starting the xenstore transaction",
    "xs_rm": "removing xenstore node",
    "xs_write": "writing xenstore node",
    "xs_set_permissions": "setting the permissions of xenstore node",
    "xs_transaction_end": "committing the xenstore transaction",
    "xs_introduce_domain": "to xenstored",
}

# Before the domain is there, just after, with its memory, with its nodes, and before the last call.
KILLED_AT = ("xc_physinfo", "xc_domain_max_vcpus", "xc_dom_build_image", "xs_transaction_end",
             "xs_introduce_domain")
CRASHED_AT = ("xc_domain_max_vcpus", "xc_dom_build_image", "xs_introduce_domain")


@functools.cache
def held_kernel(machine):
    """The name of the kernel "pv" for a machine's builder, which has it after this, whatever tests ran before."""
    return machine.toolstack.check("ashlar upload /images/pv", 120).split()[0]


def create_with_fault(machine, fault, type):
    """Has a guest built while the fault is set; gives the command's status and output."""
    kernel = held_kernel(machine)
    machine.dom0.check(f"echo '{fault}' >/run/ashlar-fault")
    try:
        return machine.toolstack.run(steps.create_command("faulty", type=type, kernel=kernel), 120)
    finally:
        machine.dom0.check("rm /run/ashlar-fault")


def build_and_destroy(machine, type="pv"):
    """A build without a fault works."""
    steps.create(machine, "sound", type=type)
    steps.destroy(machine, "sound")


def test_points_are_known(machine):
    """Every fault point has its expected error, and both types build without a fault."""
    assert set(POINTS) == set(DOING), set(POINTS) ^ set(DOING)
    build_and_destroy(machine)
    build_and_destroy(machine, "pvh")


def failing(point, type):
    """The test for a call that fails."""
    def test(machine):
        free = steps.free_mib(machine)
        status, output = create_with_fault(machine, point, type)
        assert status == 1, (status, output)
        message = steps.failure_of(output)["message"]
        assert DOING[point] in message, message
        assert "Cannot allocate memory" in message, message
        steps.await_free_mib(machine, free)
    test.__doc__ = f"When {point} fails ({type}), the requester hears why and nothing is left."
    return test


def killed(point):
    """The test for a constructor that is killed."""
    def test(machine):
        free = steps.free_mib(machine)
        status, output = create_with_fault(machine, f"kill {point}", "pv")
        assert status == 1, (status, output)
        message = steps.failure_of(output)["message"]
        assert "constructing the domain" in message and "signal 9" in message, message
        steps.await_free_mib(machine, free)
    test.__doc__ = f"When the constructor is killed at {point}, nothing is left."
    return test


def crashed(point):
    """The test for a builder that is killed while it builds."""
    def test(machine):
        free = steps.free_mib(machine)
        old = steps.builder(machine)
        status, output = create_with_fault(machine, f"crash-broker {point}", "pv")
        assert status == 4, (status, output)
        steps.await_successor(machine, old)
        steps.await_free_mib(machine, free)
        build_and_destroy(machine)
    test.__doc__ = f"When the builder is killed with a build at {point}, its successor tidies up."
    return test


for name in POINTS:
    kind = "pvh" if name in PVH_ONLY else "pv"
    globals()[f"test_{name}_fails"] = failing(name, kind)
for name in KILLED_AT:
    globals()[f"test_killed_at_{name}"] = killed(name)
for name in CRASHED_AT:
    globals()[f"test_builder_killed_at_{name}"] = crashed(name)


def test_builds_again(machine):
    """After all these faults a build works, and Xen has all its memory."""
    free = steps.free_mib(machine)
    build_and_destroy(machine)
    build_and_destroy(machine, "pvh")
    steps.await_free_mib(machine, free)
