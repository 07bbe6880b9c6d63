# SPDX-License-Identifier: LGPL-2.1-or-later
"""The appliance without a builder: what init does by itself."""

BOOT = {"builder": False}

CONSOLE_LOGS = "/var/log/xen/console"
MODULES = {"xen_privcmd", "xen_evtchn", "xen_gntdev", "xen_gntalloc", "xenfs"}


def test_xenstored_names_domain_0(machine):
    """xenstored is up and says who domain 0 is."""
    assert machine.dom0.check("xenstore-read /local/domain/0/name").strip() == "Domain-0"
    assert machine.dom0.check("xenstore-read /local/domain/0/domid").strip() == "0"


def test_only_xen_drivers(machine):
    """No driver module is loaded but those for Xen itself."""
    loaded = {line.split()[0] for line in
              machine.dom0.check("tail -n +1 /proc/modules").splitlines()}
    assert loaded == MODULES, f"loaded: {loaded}"


def test_grant_limit(machine):
    """xen-gntalloc has the pages for many vchans."""
    limit = machine.dom0.check("cat /sys/module/xen_gntalloc/parameters/limit").strip()
    assert limit == "32768", limit


def test_no_network(machine):
    """The only network interface is the loopback one."""
    assert machine.dom0.check("ls /sys/class/net").split() == ["lo"]


def test_xenconsoled_restarts(machine):
    """xenconsoled is started again when it is killed."""
    old = machine.dom0.check("pidof xenconsoled").strip()
    machine.dom0.check(f"kill -KILL {old}")
    new = machine.dom0.wait_for(f"pidof xenconsoled | grep -v '^{old}$'").strip()
    assert new.isdigit(), new


def test_orphans_are_reaped(machine):
    """An orphan that ends leaves no zombie."""
    machine.dom0.check("(sleep 0.3 &) ; sleep 1")
    states = machine.dom0.check("grep -h '^State' /proc/[0-9]*/status 2>/dev/null || true")
    assert "Z (zombie)" not in states, states


def test_console_log_is_capped(machine):
    """A console log above 1 MiB is cut to its last 64 KiB while xenconsoled may append."""
    path = f"{CONSOLE_LOGS}/guest-test.log"
    machine.dom0.check(f"yes 123456789012345 | head -c 1600000 >{path}; echo end >>{path}")
    size = machine.dom0.wait_for(f"s=$(stat -c %s {path}); [ $s -le 70000 ] && echo $s").strip()
    assert size == "65536", size
    assert machine.dom0.check(f"tail -c 4 {path}; rm {path}") == "end\n"


def test_power_off(machine):
    """SIGTERM to init stops the services in order and powers the machine off."""
    machine.dom0.run("(sleep 0.5; kill -TERM 1) >/dev/null 2>&1 &")
    machine.wait_off()
    text = machine.log_text()
    assert "stopping: signal 15 asked for it" in text
    assert "powering off" in text


test_power_off.ends_machine = True
