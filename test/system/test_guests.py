# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests of both types: how they boot, what others see of them, what is recorded."""

import hashlib
import json
import struct

import fixture
import guests

IMAGES = fixture.OUT / "images"
CHANGED_BYTE = 1_000_000  # an offset within the kernel's signed payload
BANKS = ("sha1", "sha256", "sha384")


def xenstore(machine, domid, node):
    """A node below a domain's directory."""
    return machine.dom0.check(f"xenstore-read /local/domain/{domid}/{node}").strip()


def test_types_and_cpus(machine):
    """PV and PVH guests with one and with four vCPUs boot to user space."""
    # One after the other: four vCPUs on the host's two leave little for anybody else.
    for type_ in ("pv", "pvh"):
        for vcpus in (1, 4):
            name = f"{type_}-{vcpus}"
            guests.create(machine, name, type=type_, kernel=type_, options=f"--vcpus {vcpus}")
            assert f"guest-cpus {vcpus}\n" in guests.await_ready(machine, name).replace("\r", "")
            guests.destroy(machine, name)


def test_initrds(machine):
    """A guest without initrd has none, and one with three has the files of all."""
    guests.create(machine, "none", initrds=(), options="--on-crash preserve")
    guests.create(machine, "three", initrds=("extra-1", "guest", "extra-2"))
    console = guests.await_ready(machine, "three")
    assert "guest-file /extra-1 one" in console and "guest-file /extra-2 two" in console, console
    guests.await_console(machine, "none", "VFS: Unable to mount root fs")
    guests.destroy(machine, "none", "three")


def test_seen_from_domain_0(machine):
    """xl and xenstore show of a guest what libxl's tools look for."""
    for type_ in ("pv", "pvh"):
        built = guests.create(machine, type_, type=type_, kernel=type_,
                              options="--paused --vcpus 2 --maxmem 200")
        domid, uuid = built["domid"], built["uuid"]
        ceiling = {"pv": 200, "pvh": 144}[type_]  # PVH: see store_nodes.cpp
        listed = machine.dom0.check(f"xl list {type_} | tail -n 1").split()
        assert listed[:3] == [type_, str(domid), "144"] and listed[4] == "--p---", listed
        expected = {"name": type_, "domid": str(domid), "vm": f"/vm/{uuid}",
                    "memory/target": str(144 << 10), "memory/static-max": str(ceiling << 10),
                    "console/type": "xenconsoled", "cpu/1/availability": "online"}
        assert {node: xenstore(machine, domid, node) for node in expected} == expected
        for node in ("console/port", "console/ring-ref", "store/port", "store/ring-ref"):
            assert int(xenstore(machine, domid, node)) > 0, node
        tty = machine.dom0.wait_for(f"xenstore-read /local/domain/{domid}/console/tty").strip()
        assert machine.dom0.run(f"[ -c {tty} ]")[0] == 0, tty
        assert machine.dom0.check(f"xenstore-read /vm/{uuid}/name").strip() == type_
        assert machine.dom0.check(f"xenstore-read /libxl/{domid}/type").strip() == type_
        info = guests.ask(machine, f"info {uuid}")
        assert (info["memory_mib"], info["max_memory_mib"], info["vcpus"]) == (144, 200, 2), info
        guests.destroy(machine, type_)


def test_memory_grows(machine):
    """A running guest's memory grows to its ceiling when domain 0 raises its target."""
    for type_ in ("pv", "pvh"):
        built = guests.create(machine, f"grows-{type_}", type=type_, kernel=type_, options="--maxmem 192",
                              words="memhp_default_state=online")
        guests.await_ready(machine, f"grows-{type_}")
        machine.dom0.check(f"xenstore-write /local/domain/{built['domid']}/memory/target {192 << 10}")
        machine.dom0.wait_for(
            f"[ $(xl list grows-{type_} | tail -n 1 | awk '{{print $3}}') -ge 190 ]", guests.BOOT_SECONDS)
        guests.destroy(machine, f"grows-{type_}")


def digests(content):
    """The digests of some bytes in each bank."""
    return {bank: hashlib.new(bank, content).hexdigest() for bank in BANKS}


def policy_digest(files):
    """A policy's digest as docs/policy.md defines it."""
    whole = hashlib.sha256()
    for file in sorted(files, key=lambda file: file["file"]):
        name, text = file["file"].encode(), file["text"].encode()
        whole.update(struct.pack("<I", len(name)) + name + struct.pack("<Q", len(text)) + text)
    return whole.hexdigest()


def recomputed(machine, name, initrds):
    """The events that docs/measurements.md says the record of a PV guest holds."""
    configuration = (
        f"ashlar-domain-configuration=2\nname={name}\ntype=pv\nvcpus=3\nmemory_kib={144 << 10}\n"
        f"max_memory_kib={160 << 10}\non_poweroff=destroy\non_reboot=restart\non_crash=preserve\nvtpm=none\n")
    policy = guests.ask(machine, "policy show")
    events = [("builder", guests.ask(machine, "version")["builder"].encode()),
              ("policy", policy_digest(policy["files"]).encode()),
              ("configuration", configuration.encode()),
              ("kernel", fixture.kernel("6.1-cloud").image.read_bytes()),
              ("command_line", guests.command_line(name).encode())]
    events += [("initrd", (IMAGES / initrd).read_bytes()) for initrd in initrds]
    if not initrds:
        events.append(("no_initrd", b""))
    return [{"type": kind, "size": len(content)} | digests(content) for kind, content in events]


def test_records(machine):
    """Every event of a record can be recomputed from the files, as the manual says."""
    for name, initrds in {"two": ("guest", "extra-2"), "none": ()}.items():
        guests.create(machine, name, initrds=initrds,
                      options="--paused --vcpus 3 --maxmem 160 --on-crash preserve")
        record = guests.ask(machine, f"measurement {name}")
        info = guests.ask(machine, f"info {name}")
        same = ("serial", "domid", "uuid", "name", "requester")
        assert [record[key] for key in same] == [info[key] for key in same], (record, info)
        found = [{key: event[key] for key in ("type", "size", *BANKS)}
                 for event in record["events"]]
        assert found == recomputed(machine, name, initrds), record
        guests.destroy(machine, name)


GUEST_FILE = """\
# A guest as xl knows it.
name = "file"
type = "pv"
kernel = "/images/pv"
ramdisk = "/images/guest"
memory = 144
vcpus = 2
extra = "console=hvc0 quiet guest_name=file"
on_reboot = "destroy"
vif = []
"""


def test_guest_file(machine):
    """A guest is built from an xl.cfg file; its name is then taken."""
    machine.toolstack.check(f"cat >/tmp/guest.cfg <<'END'\n{GUEST_FILE}END")
    assert guests.ask(machine, "create /tmp/guest.cfg --dry-run") == {"allowed": True}
    assert guests.ask(machine, "list") == [], "a dry run built something"
    guests.ask(machine, "create /tmp/guest.cfg --paused")
    info = guests.ask(machine, "info file")
    assert (info["type"], info["vcpus"], info["memory_mib"]) == ("pv", 2, 144), info
    assert info["cmdline"] == "console=hvc0 quiet guest_name=file", info
    assert info["on_reboot"] == "destroy" and info["rule"] == "test guests", info
    assert guests.fail(machine, "create /tmp/guest.cfg --paused", 1)["code"] == "exists"
    machine.toolstack.check("echo 'disk = [ \"x\" ]' >>/tmp/guest.cfg")
    assert "disk" in guests.fail(machine, "create /tmp/guest.cfg", 2)["message"]
    guests.destroy(machine, "file")


def make_changed(machine):
    """Makes the image "changed", which nobody approved: "pv" with another byte; gives its SHA-256."""
    content = bytearray(fixture.kernel("6.1-cloud").image.read_bytes())
    content[CHANGED_BYTE] ^= 1
    machine.toolstack.check(
        f"cp /images/pv /images/changed && printf '\\{content[CHANGED_BYTE]:03o}' | "
        f"dd of=/images/changed bs=1 seek={CHANGED_BYTE} conv=notrunc", 60)
    return hashlib.sha256(content).hexdigest()


def test_exit_statuses(machine):
    """The command's exit status tells failure, wrong usage, refusal and no connection apart."""
    error = guests.fail(machine, "info nobody", 1)
    assert (error["kind"], error["code"]) == ("failed", "not_found"), error
    assert guests.fail(machine, "create --bogus", 2)["kind"] == "usage"
    sent = make_changed(machine)
    error = guests.fail(machine, guests.command("changed", kernel="changed").removeprefix("ashlar "), 3)
    assert error["kind"] == "refused" and sent in error["message"], error
    assert sent not in [image["sha256"] for image in guests.ask(machine, "images")], \
        "bytes that nobody approved were taken in"
    # Nothing but the time limit tells that there is no builder: others' domains cannot be seen.
    assert guests.fail(machine, "--host vchan:9 --timeout 5 list", 4)["kind"] == "transport"


def test_xsm_label(machine):
    """Debian's Xen has no XSM: a guest with a label is not built without it, and the error says why."""
    labelled = guests.command("labelled", options="--xsm-label system_u:system_r:domU_t").removeprefix("ashlar ")
    error = guests.fail(machine, labelled, 1)
    assert error["code"] == "unsupported", error
    assert "system_u:system_r:domU_t" in error["message"] and "no XSM" in error["message"], error
    assert guests.fail(machine, "info labelled", 1)["code"] == "not_found"
    assert "labelled" not in machine.dom0.check("xl list")


def test_several_at_once(machine):
    """The builder answers others while it builds, and builds several guests at once."""
    names = ("left", "right")
    jobs = " ".join(f"({guests.command(name, options='--paused')}) >/tmp/{name} & {name}=$!;"
                    for name in names)
    waits = " && ".join(f"wait ${name}" for name in names)
    machine.toolstack.check(f"{jobs} ashlar list --json >/tmp/listed && {waits}",
                            2 * guests.BUILD_SECONDS)
    json.loads(machine.toolstack.check("cat /tmp/listed"))
    listed = {domain["name"]: domain["state"] for domain in guests.ask(machine, "list")}
    assert listed == dict.fromkeys(names, "paused"), listed
    guests.destroy(machine, *names)


def test_signed(machine):
    """A kernel that Debian has signed is built by that alone; with a byte changed it is refused."""
    guests.create(machine, "signed-kernel", kernel="pvh", type="pvh")
    info = guests.ask(machine, "info signed-kernel")
    assert info["rule"] == "signed guests", info
    guests.await_ready(machine, "signed-kernel")
    make_changed(machine)
    changed = guests.command("signed-changed", kernel="changed").removeprefix("ashlar ")
    error = guests.fail(machine, changed, 3)
    # Of the two rules that come as near, the refusal names the one without a signer.
    assert error["kind"] == "refused" and "the kernel's sha256" in error["message"], error
    assert guests.fail(machine, "info signed-changed", 1)["code"] == "not_found"
    guests.destroy(machine, "signed-kernel")
