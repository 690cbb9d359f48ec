"""Which settings keep Linux silent: held against what its sources do with each value.

arp_ignore and arp_announce of net/ipv4/arp.c, the larger of ``all`` and the interface.
"""

from __future__ import annotations

from typing import Any

import pytest

from rig.simowners import machine
from saltext.ipalias.dsr import DsrConfig, parse_dsr
from saltext.ipalias.errors import InputError
from saltext.ipalias.live import Snapshot
from saltext.ipalias.live.tools import load as tool
from saltext.ipalias.silence import linux, receiving

VIP4, VIP6 = "203.0.113.80", "2001:db8::80"
LINKS = ("eth0", "eth1")


def config(*vips: str, **block: Any) -> DsrConfig:
    return parse_dsr({"dsr": {"vips": list(vips) or [VIP4], **block}})


def snapshot(*links: str) -> Snapshot:
    found: Snapshot = tool("linux").read_snapshot(machine({}, links=links or LINKS))
    return found


def values(**changed: str) -> dict[str, str | None]:
    """Return live values: 0 everywhere but where told, as ``eth0_arp_ignore="1"``."""
    found: dict[str, str | None] = {
        linux.key_of(name, key): "0"
        for name in ("all", "lo", *LINKS)
        for key in (linux.IGNORE, linux.ANNOUNCE, linux.REVERSE)
    }
    for key, value in changed.items():
        name, _, setting = key.partition("_")
        found[linux.key_of(name, setting)] = value
    return found


def test_the_guides_two_settings() -> None:
    assert linux.wishes(config(), snapshot(), values()) == [
        ("net.ipv4.conf.all.arp_ignore", "1"),
        ("net.ipv4.conf.all.arp_announce", "2"),
    ]


def test_for_the_receiving_interfaces_alone() -> None:
    asked = config(interfaces=["eth1"], scope="interfaces")
    assert [key for key, _ in linux.wishes(asked, snapshot(), values())] == [
        "net.ipv4.conf.eth1.arp_ignore",
        "net.ipv4.conf.eth1.arp_announce",
    ]


def test_a_name_with_dots_has_the_slash_form() -> None:
    asked = config(interfaces=["eth0.10"], scope="interfaces")
    wished = linux.wishes(asked, snapshot("eth0", "eth0.10"), {})
    assert wished[0] == ("net/ipv4/conf/eth0.10/arp_ignore", "1")


def test_ipv6_needs_none() -> None:
    assert linux.wishes(config(VIP6), snapshot(), values()) == ()
    assert linux.faults(config(VIP6), snapshot(), values()) == []


@pytest.mark.parametrize("there", ["1", "2", "8"])
def test_a_value_that_is_as_silent_is_kept(there: str) -> None:
    wished = dict(linux.wishes(config(), snapshot(), values(all_arp_ignore=there)))
    assert wished["net.ipv4.conf.all.arp_ignore"] == there


@pytest.mark.parametrize("there", ["0", "3", "4", "7", "9", "-1"])
def test_a_value_that_answers_is_not(there: str) -> None:
    wished = dict(linux.wishes(config(), snapshot(), values(all_arp_ignore=there)))
    assert wished["net.ipv4.conf.all.arp_ignore"] == "1"


@pytest.mark.parametrize(
    ("there", "silent"),
    [("0", False), ("1", True), ("2", True), ("3", False), ("5", False), ("8", True)],
)
def test_what_each_arp_ignore_does(there: str, silent: bool) -> None:
    now = values(all_arp_ignore=there, all_arp_announce="2")
    assert (linux.faults(config(), snapshot(), now) == []) is silent


@pytest.mark.parametrize(
    ("there", "silent"), [("0", False), ("1", False), ("2", True), ("3", False)]
)
def test_what_each_arp_announce_does(there: str, silent: bool) -> None:
    now = values(all_arp_ignore="1", all_arp_announce=there)
    assert (linux.faults(config(), snapshot(), now) == []) is silent


def test_the_larger_of_both_counts() -> None:
    """An interface's 3 is louder than the 1 of all; its 1 is enough where all has 0."""
    loud = values(all_arp_ignore="1", all_arp_announce="2", eth1_arp_ignore="3")
    (fault,) = linux.faults(config(), snapshot(), loud)
    assert fault.startswith("eth1: arp_ignore is 3")
    asked = config(interfaces=["eth0"], scope="interfaces")
    enough = values(eth0_arp_ignore="1", eth0_arp_announce="2")
    assert linux.faults(asked, snapshot(), enough) == []


def test_values_on_lo_alone_do_nothing_and_it_says_so() -> None:
    now = values(lo_arp_ignore="1", lo_arp_announce="2")
    assert len(linux.faults(config(), snapshot(), now)) == 2 * len(LINKS)
    said = linux.remarks(config(), machine({}), snapshot(), now)
    assert [one.split(" ")[0] for one in said] == [
        "net.ipv4.conf.lo.arp_ignore",
        "net.ipv4.conf.lo.arp_announce",
    ]
    assert all("does nothing" in one for one in said)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"all_rp_filter": "1"}, ["eth1"]),
        ({"eth1_rp_filter": "1"}, ["eth1"]),
        ({"eth0_rp_filter": "1"}, []),
        ({"all_rp_filter": "1", "eth1_rp_filter": "2"}, []),
        ({"all_rp_filter": "2"}, []),
    ],
)
def test_strict_filtering_is_told_where_it_drops(changed: dict[str, str], told: list[str]) -> None:
    """The default route leaves by eth0; what comes in by eth1 has its way back there."""
    said = linux.remarks(config(), machine({}), snapshot(), values(**changed))
    assert [one.partition(":")[0] for one in said] == told


def test_who_receives() -> None:
    assert receiving(config(), snapshot(), "lo") == ["eth0", "eth1"]
    assert receiving(config(interfaces=["eth1"]), snapshot(), "lo") == ["eth1"]


def test_another_loopback_is_refused() -> None:
    with pytest.raises(InputError, match="dummy0 is not the loopback"):
        linux.loopback(config(loopback="dummy0"), snapshot())
