# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds on one boot of real Xen, by Ashlar and by `xl create -p` in turn.

The machine counts its instructions (qemu -icount), so that its clock repeats from run to run, whatever else the host
does. docs/performance.md says what each line means.
"""

import random
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "test" / "system")]

from appliance import images, repack  # noqa: E402 (needs the path above)
from appliance.kernels import kernel  # noqa: E402
from machine import Machine  # noqa: E402
from small_kernel import small_kernel  # noqa: E402

OUT = ROOT / "out" / "bench"
MACHINE_MIB = 8192
DOM0_MIB = 3072
COMPRESSIONS = ("lz4", "zstd", "xz", "elf")
SAMPLE = ("lz4", "elf")
SAMPLE_SECONDS = 300  # begins no other kernel after so long
TYPES = ("pv", "pvh")
GUEST_MIB = 512
REPEATED = 2          # repeated builds; the fastest counts, as it does for the peer
LARGE_MIB = 128       # of the initrd whose memory and bandwidth are measured
SMALL_GUEST_MIB = 16
MANY = 200
COMMAND_SECONDS = 900  # a bound, for a loaded host
LIMIT_SECONDS = 4 * 3600  # the same for a whole machine
# Xen scrubs the memory of a destroyed guest when it is idle: else whoever builds next pays for it.
SETTLE = "sleep 2"
GROUPS = "/sys/fs/cgroup"
COPIES = "/bench/copies"  # a tmpfs of its own: /tmp and /run are small
INITRD_MIB = (1, 32, 128)
MEMORY_MIB = (128, 2048)

POLICY = """\
[[requester]]
name = "root"
uid = 0
sees = "all"

[[requester]]
name = "boot"
boot = true

[[requester]]
name = "toolstack"
domain = "toolstack"

[[rule]]
name = "everything"
effect = "allow"
requesters = "any"
verbs = "any"
  [rule.guest]
  kernels = "any"
  initrds = "any"
  command_lines = "any"
"""

XL_CONFIG = """\
name = "peer"
type = "{type}"
kernel = "{kernel}"
ramdisk = "{initrd}"
extra = "console=hvc0"
vcpus = 1
memory = {memory}
"""


@dataclass(frozen=True)
class Guest:
    """What is built. Images are names below /bench."""

    type: str
    kernel: str
    initrd: str = "initrd-1"
    memory_mib: int = GUEST_MIB


class Cost(NamedTuple):
    """Of one command, in seconds."""

    time: float  # until it ended
    cpu: float   # of all processes of its control group, the builder and its children included


def run(build, extent):
    """Gives the rows one by one as they are measured: (name, unit, ashlar, peer, what the peer is).

    `extent` is "full", "short" (no other sizes, no builder that inspects late) or "sample" (a few lines).
    """
    if extent == "sample":
        with boot(build, SAMPLE, toolstack=False) as machine:
            yield from Bench(machine, toolstack=False).sample()
        return
    with boot(build, COMPRESSIONS) as machine:
        bench = Bench(machine)
        yield from bench.builds()
        yield from bench.large_initrd()
        yield from bench.many_guests(MANY)
    if extent == "full":
        yield from run_sizes(build)
        yield from run_unprepared(build)


def run_sizes(build):
    """The rows of other sizes, on a machine of its own: a store that is full keeps no unpacked kernel."""
    with boot(build, SAMPLE, toolstack=False) as machine:
        yield from Bench(machine, toolstack=False).sizes()


def run_unprepared(build):
    """The rows of a builder that inspects kernels when they are built, on a machine of its own."""
    with boot(build, COMPRESSIONS, toolstack=False) as machine:
        yield from Bench(machine, toolstack=False).unprepared()


def run_scale(build):
    """The rows of many guests alone."""
    with boot(build, (), toolstack=False) as machine:
        yield from Bench(machine, toolstack=False).many_guests(MANY)


def boot(build, names, toolstack=True):
    """A machine with the builder, its peer, and these kernels in domain 0; without a toolstack domain, which uploads
    start from, it is up sooner."""
    OUT.mkdir(parents=True, exist_ok=True)
    made = repack.all_payloads(kernel("6.1-cloud").image, OUT)
    stopwatch = build / "test" / "bench" / "host" / "ashlar-stopwatch"
    sent = {f"/bench/{name}": made[name] for name in names}
    sent["/bench/initrd-1"] = random.Random(1).randbytes(1 << 20)
    appliance = images.Appliance(build=build, debug=True, policies={"bench.toml": POLICY}, files=sent | {
        "/bench/small": small_kernel(),
        "/usr/bin/ashlar-stopwatch": images.contents.without_debug_information(stopwatch)})
    if toolstack:
        appliance.toolstack_kernel = made["lz4"]
        appliance.toolstack_initrd = images.write_toolstack(
            OUT / "toolstack", build, sent, extra_programs={"/usr/bin/ashlar-stopwatch": stopwatch})
    initrd = images.write_appliance(OUT / "appliance", appliance)
    return Machine(initrd, OUT / "console.log", MACHINE_MIB, toolstack=toolstack, dom0_memory_mib=DOM0_MIB,
                   counted=True, limit_seconds=LIMIT_SECONDS)


class Bench:
    """The measurements on one machine."""

    def __init__(self, machine, toolstack=True):
        self._dom0 = machine.dom0
        self._toolstack = machine.toolstack
        self._variants = 0
        self._dom0.wait_for("ashlar list", COMMAND_SECONDS)
        self._dom0.check(f"mount -t cgroup2 none {GROUPS} && "
                         f"echo '+memory +cpu' >{GROUPS}/cgroup.subtree_control && "
                         f"mkdir {GROUPS}/ashlar {GROUPS}/xl")
        self._watch_builder()
        for shell in (self._dom0, self._toolstack) if toolstack else (self._dom0,):
            shell.check(f"mkdir {COPIES} && mount -t tmpfs none {COPIES}")
        # What xen-init-dom0 writes, and xl looks for.
        self._dom0.check("xenstore-write /local/pool/0/name Pool-0")
        self._made = {"initrd-1"}

    def sample(self):
        """First and repeated builds of a few kernels, as many as there is time for."""
        end = time.monotonic() + SAMPLE_SECONDS
        for name in SAMPLE:
            if time.monotonic() > end:
                print(f"left out, this machine being slow: {name}", file=sys.stderr)
                return
            yield from self._prepared(Guest("pv", name))

    def builds(self):
        """first_build, repeated_build and uploaded_build, for each type and compression."""
        for guest in (Guest(type_, name) for type_ in TYPES for name in COMPRESSIONS):
            rows = list(self._prepared(guest))
            yield from rows
            peer = rows[0][3]
            yield f"uploaded_build/{guest.type}/{guest.kernel}", "s", self._uploaded(guest), peer, "xl create -p"

    def _prepared(self, guest):
        """first_build, repeated_build and build_cpu."""
        peer = min(self._xl(guest) for _ in range(REPEATED))
        first, repeated = self._ashlar(guest)
        for line, ours, theirs in (("first_build", first.time, peer.time), ("repeated_build", repeated.time, peer.time),
                                   ("build_cpu", first.cpu, peer.cpu)):
            yield f"{line}/{guest.type}/{guest.kernel}", "s", ours, theirs, "xl create -p"

    def unprepared(self):
        """The first build by a builder that inspects a kernel only then."""
        old = self._dom0.check("pidof ashlar-builder").strip()
        self._dom0.check(f"sed -i '1i inspect_ahead = false' /etc/ashlar/builder.toml && kill {old}")
        self._dom0.wait_for(f"pidof ashlar-builder | grep -v '^{old}$' && ashlar list", COMMAND_SECONDS)
        self._watch_builder()
        for name in COMPRESSIONS:
            guest = Guest("pv", name)
            yield f"unprepared_build/pv/{name}", "s", self._ashlar(guest)[0].time, self._xl(guest).time, "xl create -p"

    def sizes(self):
        """The first build with larger initrds and with less and more memory."""
        guests = [Guest(type_, "lz4", initrd=f"initrd-{mib}") for type_ in TYPES
                  for mib in INITRD_MIB[1:]]
        guests += [Guest(type_, "lz4", memory_mib=mib) for type_ in TYPES for mib in MEMORY_MIB]
        for guest in guests:
            self._make_initrd(guest.initrd)
            name = f"first_build/{guest.type}/lz4/{guest.initrd}/{guest.memory_mib}_mib"
            peer = min(self._xl(guest) for _ in range(REPEATED)).time
            yield name, "s", self._ashlar(guest)[0].time, peer, "xl create -p"

    def large_initrd(self):
        """Memory beyond the images while a guest with a large initrd is uploaded and built, and the upload's rate."""
        guest = Guest("pv", "lz4", initrd=f"initrd-{LARGE_MIB}")
        self._make_initrd(guest.initrd)
        self._dom0.check(f"echo 1 >{GROUPS}/ashlar/memory.reclaim; true")
        group = self._new_group("xl-large")
        self._xl(guest, group)
        peer = self._number(f"cat {group}/memory.peak")
        held = self._held_bytes()
        self._ashlar(guest)
        peak = self._number(f"cat {GROUPS}/ashlar/memory.peak")
        extra = peak - max(held, self._held_bytes())
        yield "extra_memory", "MiB", extra / 2**20, peer / 2**20, "xl create -p, in all"
        self._toolstack.check(f"dd if=/dev/urandom of={COPIES}/large bs=1M count=64", COMMAND_SECONDS)
        sent = self._stopwatch(self._toolstack, f"ashlar-stopwatch - ashlar upload {COPIES}/large")
        copied = self._stopwatch(self._toolstack, "ashlar-stopwatch --memcpy 64")
        self._toolstack.check(f"rm {COPIES}/large")
        size = 64 * 2**20 / 1e6
        yield "upload_bandwidth", "MB/s", size / sent, size / copied, "memcpy, same domain"

    def many_guests(self, count):
        """The cost of the last of many paused guests, against the first."""
        self._dom0.check("ashlar upload /bench/small", COMMAND_SECONDS)
        digest = self._dom0.check("sha256sum </bench/small").split()[0]
        seconds = [self._stopwatch(self._dom0, f"ashlar-stopwatch {GROUPS}/ashlar ashlar create --name many-{n} "
                                   f"--type pvh --kernel sha256:{digest} --memory {SMALL_GUEST_MIB} --paused")
                   for n in range(count)]
        # The first pays for the inspection: the second is what the others are like.
        few = min(seconds[1:4])
        many = min(seconds[-3:])
        yield f"scale_{count}", "s", many, few, "the first ones"

    def _make_initrd(self, name):
        """Made here: in the appliance's image it would slow the machine's start. Nobody looks into it."""
        if name in self._made:
            return
        self._made.add(name)
        bytes_ = int(name.removeprefix("initrd-")) << 20
        self._dom0.check(f"while cat /bench/elf; do :; done 2>/dev/null | head -c {bytes_} >/bench/{name}",
                         COMMAND_SECONDS)

    def _watch_builder(self):
        self._dom0.check(f"echo $(pidof ashlar-builder) >{GROUPS}/ashlar/cgroup.procs")

    def _xl(self, guest, group=f"{GROUPS}/xl"):
        config = XL_CONFIG.format(type=guest.type, kernel=f"/bench/{guest.kernel}",
                                  initrd=f"/bench/{guest.initrd}", memory=guest.memory_mib)
        self._dom0.check(f"cat >/tmp/peer.cfg <<'END'\n{config}END\n")
        cost = self._cost(group, "xl create -p /tmp/peer.cfg")
        self._dom0.check(f"xl destroy peer; {SETTLE}", COMMAND_SECONDS)
        return cost

    def _ashlar(self, guest):
        """The first build of images that the builder holds and has not built from, and the fastest after it."""
        kernel_name = self._upload(self._dom0, guest.kernel)
        initrd = self._upload(self._dom0, guest.initrd)
        self._dom0.check("while pidof ashlar-inspector; do sleep 0.2; done", COMMAND_SECONDS)
        command = (f"ashlar create --name own --type {guest.type} "
                   f"--kernel {kernel_name} --initrd {initrd} --cmdline console=hvc0 "
                   f"--memory {guest.memory_mib} --paused")
        costs = []
        for _ in range(1 + REPEATED):
            costs.append(self._cost(f"{GROUPS}/ashlar", command))
            self._dom0.check(f"ashlar destroy own; {SETTLE}", COMMAND_SECONDS)
        return costs[0], min(costs[1:])

    def _uploaded(self, guest):
        """A first build whose images come over vchan from the toolstack domain, hashing there included."""
        kernel_file = self._variant(self._toolstack, guest.kernel)
        initrd = self._variant(self._toolstack, guest.initrd)
        seconds = self._stopwatch(
            self._toolstack, f"ashlar-stopwatch - ashlar create --name own --type {guest.type} "
            f"--kernel {kernel_file} --initrd {initrd} --cmdline console=hvc0 "
            f"--memory {guest.memory_mib} --paused")
        self._toolstack.check(f"ashlar destroy own; rm {kernel_file} {initrd}; {SETTLE}", COMMAND_SECONDS)
        return seconds

    def _variant(self, shell, name):
        """A file with one line more than /bench/NAME: to the builder, another image."""
        self._variants += 1
        path = f"{COPIES}/{name}-{self._variants}"
        shell.check(f"(cat /bench/{name}; echo variant {self._variants:6}) >{path}", COMMAND_SECONDS)
        return path

    def _upload(self, shell, name):
        path = self._variant(shell, name)
        sent = shell.check(f"ashlar upload {path} && rm {path}", COMMAND_SECONDS)
        return sent.split()[0]

    def _held_bytes(self):
        """What the builder's group has in memory files: the images that it holds."""
        return self._number(f"sed -n 's/^shmem //p' {GROUPS}/ashlar/memory.stat")

    def _new_group(self, name):
        self._dom0.check(f"mkdir {GROUPS}/{name}")
        return f"{GROUPS}/{name}"

    def _number(self, command):
        return int(self._dom0.check(command))

    def _cost(self, group, command):
        """What a command in domain 0 costs, in this control group."""
        cpu = f"sed -n 's/^usage_usec //p' {group}/cpu.stat"
        before = self._number(cpu)
        seconds = self._stopwatch(self._dom0, f"ashlar-stopwatch {group} {command}")
        return Cost(seconds, (self._number(cpu) - before) / 1e6)

    @staticmethod
    def _stopwatch(shell, command):
        found = re.search(r"^ns (\d+)$", shell.check(command, COMMAND_SECONDS), re.MULTILINE)
        return int(found.group(1)) / 1e9


if __name__ == "__main__":
    BUILD = Path(sys.argv[1]).resolve()
    PARTS = {"--unprepared": run_unprepared, "--scale": run_scale, "--sizes": run_sizes}
    for row in PARTS[sys.argv[2]](BUILD) if len(sys.argv) > 2 else run(BUILD, "full"):
        print(*row, flush=True)
