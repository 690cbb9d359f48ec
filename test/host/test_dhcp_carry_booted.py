"""Kea takes dhcpd's place on booted Debian, and knows who holds what."""

from __future__ import annotations

import pytest
from test_dhcp_backup_booted import FIRST, SECOND, given
from test_dhcp_setup import Boot, call, pid_of, pillar

from rig.dhcp_hosts import ask_kea
from rig.host import BootedHost
from saltext.ipalias.dhcp.kea import subnet_id


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_what_clients_hold_comes_along(booted: Boot, suite: str) -> None:
    host = booted(suite, "networkd")
    assert call(host, "ipalias.dhcp", pillar(host, "isc"))["result"] is True
    given(host, "isc", 150, FIRST)
    told = call(host, "ipalias.dhcp", pillar(host, "kea"))
    assert told["result"] is True, told
    assert "1 leases of dhcpd's come along" in told["comment"]
    assert pid_of(host, "kea") and not pid_of(host, "isc")
    assert holder(host) == FIRST
    # Back and again: what Kea had of the time before does not hide what dhcpd has given since.
    assert call(host, "ipalias.dhcp", pillar(host, "isc"))["result"] is True
    given(host, "isc", 150, SECOND)
    assert call(host, "ipalias.dhcp", pillar(host, "kea"))["result"] is True
    assert holder(host) == SECOND


def holder(host: BootedHost) -> str:
    """Return who has the one address that Kea knows to be held."""
    [lease] = ask_kea(host, "lease4-get-all")["leases"]
    shown = {key: lease[key] for key in ("ip-address", "subnet-id", "state")}
    assert shown == {
        "ip-address": "192.0.2.150",
        "subnet-id": subnet_id("192.0.2.0/24"),
        "state": 0,
    }
    return str(lease["hw-address"])
