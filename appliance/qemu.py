# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the appliance boots on real Xen in QEMU: software emulation, no KVM, no devices but serial lines."""

import gzip
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from appliance import xen
from appliance.kernels import kernel
from appliance.repack import plain_kernel

XEN_ARGUMENTS = ("console=com1 com1=115200,8n1 dom0_mem={dom0_mib}M,max:{dom0_mib}M dom0_max_vcpus=1 "
                 "bootscrub=0 spec-ctrl=no noreboot=1 loglvl=warning guest_loglvl=warning")
DOM0_MEMORY_MIB = 1024
# The emulated processor does not speculate: this, and spec-ctrl=no above, leave out what would guard against that.
# Memory is not cleared a second time when it is handed out. The blacklist has what takes longest of what nobody uses
# here: among it, what makes Linux read the types of all its functions, for programs in BPF.
UNUSED = ("crypto_kdf108_init", "cubictcp_register", "init_kprobe_trace", "slab_sysfs_init", "trace_eval_init",
          "bpf_rstat_kfunc_init", "bpf_key_sig_kfuncs_init", "bpf_prog_test_run_init", "bpf_tcp_ca_kfunc_init",
          "kfunc_init", "bpf_kfunc_init", "bpf_fs_kfuncs_init", "bpf_kprobe_multi_kfuncs_init", "bpf_mptcp_kfunc_init",
          "cpumask_kfunc_init", "crypto_kfunc_init")
# Without noreplace-smp the kernel takes the lock prefixes out of 8,800 instructions, and for each of them changes the page
# tables twice, upon which QEMU forgets all that it knew of addresses.
LEAN_KERNEL = f"cryptomgr.notests mitigations=off noreplace-smp init_on_alloc=0 initcall_blacklist={','.join(UNUSED)}"
# Guests look for a timer chip that they do not have, in 100,000 reads of its ports, unless they know of no counter that
# it would be compared with (Xen's clock, which counts by the same, is theirs all the same), and of the length of loops.
LEAN_GUEST = f"ipv6.disable=1 {LEAN_KERNEL} clearcpuid=tsc lpj=4000000"
# The same as a policy lists them.
LEAN_PARAMETERS = ", ".join(f'"{parameter}"' for parameter in LEAN_GUEST.split())
# With rodata=off, the kernel does not walk all its page tables to look for writable code: a tenth of its boot.
# No driver of it uses DMA: swiotlb=512 keeps 1 MiB for that, instead of 64, which it would have to clear. Nor has it a
# device on PCI or a use for ACPI's timer: their ports are read 26,000 times at boot, and each time Xen has to do it.
DOM0_ARGUMENTS = f"console=hvc0 quiet loglevel=3 {LEAN_KERNEL} rodata=off swiotlb=512 pci=off pmtmr=0"
MEMORY_MIB = 3072
MACHINE_SECONDS = 1800  # a machine is ended after so long, whatever it does
# With more CPUs, QEMU 7.2 mixes up the states of PVH guests (docs/decisions/0009-the-emulated-machine.md).
CPUS = 1
# The hypervisor needs the first two for PVH guests. With the others Linux has random numbers from its first
# moment on, and does not spend a second of the machine's time on making some from the noise of its clock.
CPU = "qemu64,+svm,+npt,+rdrand,+rdseed,+invtsc,x-force-features=on"
# For benchmarks alone, being slower: an instruction takes 2^0 ns of the machine's time, whose clock then
# repeats from run to run; what is idle waits in real time.
COUNTED = "shift=0,sleep=on"
# XON, which terminals swallow: see keep_awake().
WAKE_UP = b"\x11"
WAKE_UP_SECONDS = 0.2


# Domain 0 leaves the TPM to the TPM Manager's domain: its kernel has the driver built in.
WITHOUT_TPM_DRIVER = "initcall_blacklist=init_tis"


# What the TPM Manager makes its key of (tpm/src/esys_quote.cpp): the same template gives the same key.
KEY_TEMPLATE = ("-C", "e", "-g", "sha256", "-G", "ecc256:ecdsa-sha256:null", "-a",
                "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign")
FIRST_PORT, LAST_PORT = 20000, 40000


def read_attestation_key(state):
    """Starts a TPM with this state for a moment, and has tpm2-tools make the TPM Manager's key; gives it in PEM."""
    for port in range(FIRST_PORT + os.getpid() % 10000, LAST_PORT, 101):
        process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={state}",
             "--server", f"type=tcp,port={port},bindaddr=127.0.0.1",
             "--ctrl", f"type=tcp,port={port + 1},bindaddr=127.0.0.1",
             "--flags", "not-need-init,startup-clear"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if _make_key(process, f"swtpm:host=127.0.0.1,port={port}", f"{state}/key"):
                return Path(f"{state}/key.pem").read_bytes()
        finally:
            process.terminate()
            process.wait(20)
    raise OSError("swtpm found no free pair of ports")


def _make_key(process, tcti, context):
    """Makes the key as soon as the TPM answers; false when it ended, as when its port is taken."""
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        made = subprocess.run(["tpm2_createprimary", "-T", tcti, "-c", context, *KEY_TEMPLATE],
                              check=False, capture_output=True)
        if made.returncode == 0:
            subprocess.run(["tpm2_readpublic", "-T", tcti, "-c", context, "-f", "pem", "-o", f"{context}.pem"],
                           check=True, capture_output=True)
            return True
        time.sleep(0.1)
    return False


class SoftwareTpm:
    """A TPM 2.0 for one machine: swtpm with fresh state. Use it in a with statement.

    With `enrol` its `attestation_key` is the TPM Manager's key of this TPM, in PEM, read before the machine
    boots: as an owner enrols a machine.
    """

    def __init__(self, limit_seconds=1800, enrol=False):
        self._directory = tempfile.TemporaryDirectory(prefix="ashlar-tpm-")
        self.attestation_key = read_attestation_key(self._directory.name) if enrol else None
        self._socket = Path(self._directory.name) / "control"
        self._limit_seconds = limit_seconds
        self._process = None

    def __enter__(self):
        """Powers it on; a second time after kill(): with the state that it has."""
        self._socket.unlink(missing_ok=True)
        # A group of its own, so that a Ctrl-C of the terminal reaches the caller first.
        self._process = subprocess.Popen(
            ["timeout", "--kill-after=5", str(self._limit_seconds), "swtpm", "socket", "--tpm2",
             "--tpmstate", f"dir={self._directory.name}",
             "--ctrl", f"type=unixio,path={self._socket}"],
            stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 20
        while not self._socket.exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                raise OSError("swtpm did not start (package swtpm)")
            time.sleep(0.02)
        return self

    def __exit__(self, *unused):
        self.stop()

    def kill(self):
        """Ends the TPM while the machine runs."""
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)

    def stop(self):
        """Ends swtpm, if QEMU has not done that, and forgets its state."""
        self.kill()
        self._directory.cleanup()

    def qemu_arguments(self):
        """What makes it the machine's TPM."""
        return ["-chardev", f"socket,id=tpm,path={self._socket}",
                "-tpmdev", "emulator,id=tpm0,chardev=tpm", "-device", "tpm-tis,tpmdev=tpm0"]


def qemu_command(xen, initrd, memory_mib=MEMORY_MIB, dom0_arguments="", limit_seconds=MACHINE_SECONDS,
                 dom0_memory_mib=DOM0_MEMORY_MIB, counted=False):
    """QEMU's command line for a boot that wastes nothing, for power_on(); `initrd` is the appliance's.

    The machine ends with the thread that started it, or at the limit. `counted`: its clock counts instructions.
    """
    # Xen would need seconds to unpack Debian's kernel.
    dom0 = f"{plain_kernel(kernel('6.1').image)} {DOM0_ARGUMENTS} {dom0_arguments}"
    return multiboot_command(xen, XEN_ARGUMENTS.format(dom0_mib=dom0_memory_mib), (dom0, str(initrd)), memory_mib,
                             limit_seconds, counted)


def multiboot_command(xen, arguments, modules, memory_mib, limit_seconds=MACHINE_SECONDS, counted=False):
    """QEMU's command line for a boot of Xen with these modules: each a file, and its arguments after a space."""
    clock = ["-icount", COUNTED] if counted else []
    return ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=5", str(limit_seconds),
            "qemu-system-x86_64", "-M", "q35", "-cpu", CPU, "-smp", str(CPUS), "-m", str(memory_mib),
            "-accel", "tcg", *clock, "-display", "none", "-monitor", "none",
            "-nodefaults", "-no-reboot", "-nic", "none",
            "-kernel", str(xen), "-append", arguments,
            "-initrd", ",".join(module.replace(",", ",,") for module in modules),
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]


def power_on(command, log):
    """Starts the machine of qemu_command() and gives its process; its console goes to the file `log`."""
    with open(log, "wb") as console:
        # A group of its own, so that a Ctrl-C of the terminal reaches the caller first.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=console, stderr=subprocess.PIPE,
                                   start_new_session=True)
    threading.Thread(target=keep_awake, args=(process,), daemon=True).start()
    return process


def keep_awake(process):
    """Sends the machine's console a character now and then, as long as it runs.

    QEMU 7.2 can lose the request for an interrupt while a PVH guest runs, and then sleeps for good: the next
    interrupt, of whatever device, makes it look at all that are pending.
    """
    try:
        while process.poll() is None:
            process.stdin.write(WAKE_UP)
            process.stdin.flush()
            time.sleep(WAKE_UP_SECONDS)
    except OSError:
        pass  # it has ended


def unpack_xen(directory, packed=xen.HYPERVISOR):
    """Unpacks the hypervisor: QEMU's multiboot loader takes the plain ELF."""
    target = Path(directory) / "xen"
    target.write_bytes(gzip.decompress(packed.read_bytes()))
    return target


def available():
    """Why no machine can be booted here, or nothing."""
    if not xen.HYPERVISOR.exists():
        return f"{xen.HYPERVISOR} is not installed (package {xen.PACKAGE})"
    if not any(os.access(Path(d) / "qemu-system-x86_64", os.X_OK)
               for d in os.environ.get("PATH", "").split(":")):
        return "qemu-system-x86_64 is not installed (package qemu-system-x86)"
    return None
