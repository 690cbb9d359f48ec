"""What label the kernel shows: the table of docs/pillar.md, dialect by dialect."""

from __future__ import annotations

import pytest

from saltext.ipalias.backends import REGISTRY, load
from saltext.ipalias.model import Alias, Evidence

#: dialect → what `failover1`, `eth0:x` and no label give in the kernel; None: no label.
LIVE = {
    "ifcfg_rh": ("eth0:failover1", "eth0:x", "eth0:0"),
    "ifupdown": ("eth0:failover1", "eth0:x", "eth0:0"),
    "networkd": ("failover1", "eth0:x", None),
    "loopback": ("failover1", "eth0:x", None),
    "netplan": ("failover1", "eth0:x", None),
    "networkmanager": (None, None, None),
    "netifrc": ("eth0:failover1", "eth0:x", None),
    "ifcfg_suse": ("eth0:failover1", "eth0:x", None),
    "cpanel": (None, None, None),
    "windows": (None, None, None),
    "solaris": (None, None, None),
    "ipadm": (None, None, None),
}


@pytest.mark.parametrize("name", LIVE)
def test_the_live_label_of(name):
    backend = load(name)
    evidence = Evidence(name, "eth0", True, 3, facts={"renderer": "networkd"})
    number = 0 if backend.NUMBERED else None
    seen = tuple(
        backend.live_label(Alias("198.51.100.10", 32, "eth0", label, number=number), evidence)
        for label in ("failover1", "eth0:x", None)
    )
    assert seen == LIVE[name]


@pytest.mark.parametrize("name", LIVE)
def test_an_ipv6_address_has_no_label_in(name):
    alias = Alias("2001:db8::10", 128, "eth0", number=0)
    assert load(name).live_label(alias, Evidence(name, "eth0", True)) is None


def test_the_table_names_registered_dialects():
    assert set(LIVE) <= set(REGISTRY)
