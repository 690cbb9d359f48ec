"""Numbers that somebody else uses are refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_wan_routes import BOTH, CONFIG, HOST, NUMBERS, settled

from saltext.ipalias.errors import RefusedError
from saltext.ipalias.wan.collisions import refuse_collisions
from saltext.ipalias.wan.kernel import Group, Hop, Kernel, Nexthop, Route, Rule

BGP = Route(4, 254, "203.0.113.0/24", 20, 186, hops=(Hop("wan1", "198.51.100.1"),))
EARLY = Rule(4, 100, 52, 3)


def refused(kernel: Kernel, **texts: str) -> str:
    with pytest.raises(RefusedError) as caught:
        refuse_collisions(CONFIG, kernel, (), **texts)
    return caught.value.text()


def test_what_is_ours_is_no_collision() -> None:
    kernel = settled(CONFIG, BOTH, HOST)
    assert refuse_collisions(CONFIG, kernel, kernel.routes) == []
    assert refuse_collisions(CONFIG, HOST, ()) == []


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"rules": (Rule(6, NUMBERS.priority + 4, 7, 3),)}, "priority"),
        ({"routes": (BGP._replace(table=NUMBERS.table, protocol=4),)}, "table"),
        ({"routes": (BGP._replace(table=NUMBERS.default_table, protocol=4),)}, "table"),
        ({"nexthops": (Nexthop(NUMBERS.nexthop + 3, 6, 196, Hop("wan1", "fe80::1")),)}, "nexthop"),
        ({"groups": (Group(NUMBERS.nexthop, 196, ((5, 1),)),)}, "nexthop"),
        # Tailscale's, say.
        ({"rules": (Rule(4, 5210, 254, 3, mark=0x80000, mask=0xFF0000),)}, "mark_shift"),
        (
            {"rules": (EARLY,), "routes": (BGP._replace(table=52, destination="0.0.0.0/0"),)},
            "priority",
        ),
    ],
)
def test_each_number_in_use_is_named_with_its_key(changed: dict[str, object], key: str) -> None:
    assert refused(HOST._replace(**changed)).startswith(f"ipalias:wan:numbers:{key}: ")


def test_what_lies_beside_ours_is_let_alone() -> None:
    beside = HOST._replace(
        rules=(
            Rule(4, 0, 255, 2),
            Rule(4, NUMBERS.priority - 1, 52, 3),
            Rule(4, NUMBERS.priority + 5, 7, 3),
            Rule(4, 5210, 254, 3, mark=0x4000, mask=0x4000),
            Rule(4, 1000, 0, 2, others=(19,)),
            Rule(4, 32766, 254, 2),
        ),
        # An earlier rule may answer for some destinations; a table of no uplink is nobody's.
        routes=(
            BGP._replace(table=52),
            BGP._replace(table=254, destination="0.0.0.0/0", protocol=16),
            BGP._replace(table=NUMBERS.table + 7, protocol=4),
        ),
    )
    assert refuse_collisions(CONFIG, beside, ()) == []


def test_a_protocol_of_a_routing_daemon_is_refused() -> None:
    with pytest.raises(RefusedError, match="numbers:protocol: protocol 186 is in use by others"):
        refuse_collisions(CONFIG, HOST, [BGP])
    # The tables of the configuration in force are ours, whatever the numbers of the new one.
    moved = replace(CONFIG, numbers=replace(NUMBERS, table=20000))
    old = BGP._replace(table=NUMBERS.table)
    assert refuse_collisions(moved, HOST, [old], former=(NUMBERS.table,)) == []


NFT = """table inet ipalias_wan {
\tchain prerouting {
\t\tct mark set ct mark & 0xff01ffff | 0x00010000
\t}
}
table ip mangle {
\tchain X {
\t\t%s
\t}
}
"""


@pytest.mark.parametrize(
    "rule",
    [
        "meta mark set meta mark & 0xffbfffff | 0x00400000",
        "ct mark set ct mark or 0x10000",
        "meta mark set mark xor 0x10000",
        "ct mark set ct mark and 0xff00ffff",
    ],
)
def test_who_names_our_bits_in_a_packet_filter_is_refused(rule: str) -> None:
    rule = rule.replace("set mark xor", "set meta mark xor")
    assert "mark_shift: mark bits 0xff0000 are written by another packet filter" in refused(
        HOST, nft=NFT % rule
    )


@pytest.mark.parametrize(
    ("nft", "iptables", "notes"),
    [
        ("", "", 0),
        ("meta mark set meta mark & 0xffffbfff | 0x00004000", "", 0),
        ("ct mark set ct mark | 0x4000", "", 0),
        # These write over the whole mark, and nothing tells which packets they meet.
        ("meta mark set 0x00000001", "", 1),
        ("ct mark set meta mark", "", 1),
        ("", "-A PREROUTING -j MARK --set-xmark 0x4000/0x4000", 0),
        ("", "-A PREROUTING -i eth9 -j MARK --set-xmark 0x1/0xffffffff", 1),
    ],
)
def test_whole_marks_are_noted_and_other_bits_are_not(nft: str, iptables: str, notes: int) -> None:
    said = refuse_collisions(CONFIG, HOST, (), nft=NFT % nft, iptables=iptables)
    assert len(said) == notes


def test_who_names_our_bits_by_iptables_is_refused() -> None:
    rule = "-A FORWARD -j CONNMARK --set-xmark 0x10000/0xf0000"
    assert "written by another packet filter" in refused(HOST, iptables=rule)
