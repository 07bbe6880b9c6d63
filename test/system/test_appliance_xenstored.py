# SPDX-License-Identifier: LGPL-2.1-or-later
"""The appliance when xenstored is lost."""

BOOT = {"builder": False}


def test_lost_xenstored(machine):
    """Without xenstored the appliance powers off, and says why."""
    machine.dom0.run("(sleep 0.5; kill -KILL $(pidof xenstored oxenstored)) >/dev/null 2>&1 &")
    machine.wait_off()
    assert "xenstored ended, and every domain" in machine.log_text()


test_lost_xenstored.ends_machine = True
