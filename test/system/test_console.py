# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest's console, both ways."""

import guests

TYPED = "typed-into-the-guest"


def test_both_ways(machine):
    """What is typed at `ashlar console` reaches the guest, whose terminal echoes it."""
    guests.create(machine, "talks")
    guests.await_ready(machine, "talks")
    # Without a terminal nothing leaves a console but its end, so timeout(1) does.
    _, output = machine.toolstack.run(
        f"(echo {TYPED}; sleep 8) | timeout 8 ashlar console talks", 120)
    assert "guest-ready talks" in output, output
    guests.await_console(machine, "talks", TYPED)
    guests.destroy(machine, "talks")


def test_console_of_nobody(machine):
    """The console of a domain that is not there is an error, not silence."""
    assert guests.fail(machine, "console nobody --tail 100", 1)["code"] == "not_found"
