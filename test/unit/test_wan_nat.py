"""The nftables table of several ways out, as text."""

from __future__ import annotations

import copy
import struct
from typing import Any

import pytest

from rig.wanhosts import PILLAR
from saltext.ipalias.errors import InputError
from saltext.ipalias.wan.config import parse_wan
from saltext.ipalias.wan.nat import CHAINS, TABLE, _comment_of, expected, render_nat
from saltext.ipalias.wan.netlink import Netlink, NetlinkError


def config(**keys: Any) -> Any:
    return parse_wan({**copy.deepcopy(PILLAR), **keys})


def rules(text: str, chain: str) -> list[str]:
    """Return the rules of a chain without their comments."""
    body = text.partition(f"\tchain {chain} {{\n")[2].partition("\t}")[0]
    return [line.strip().partition(" comment ")[0] for line in body.splitlines()[1:]]


def test_the_table_is_replaced_in_one_transaction() -> None:
    text = render_nat(config())
    assert text.startswith(
        f"table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n"
    )
    assert text.count("{") == text.count("}")


def test_flows_keep_the_line_by_which_they_began() -> None:
    text = render_nat(config())
    assert rules(text, "prerouting")[-3:] == [
        'iifname { "wan1", "wan2" } return',
        "ct mark & 0x00ff0000 == 0x00010000 meta mark set meta mark & 0xff00ffff | 0x00010000",
        "ct mark & 0x00ff0000 == 0x00020000 meta mark set meta mark & 0xff00ffff | 0x00020000",
    ]
    assert rules(text, "output")[0] == "meta mark & 0x00ff0000 != 0 return"
    assert (
        'oifname "wan2" meta nfproto ipv4 ct mark & 0x00ff0000 == 0 '
        "ct mark set ct mark & 0xff00ffff | 0x00020000"
    ) in rules(text, "postrouting")


def test_other_bits_give_other_marks() -> None:
    text = render_nat(config(numbers={"mark_shift": 8, "mark_bits": 4}))
    assert (
        "ct mark & 0x00000f00 == 0x00000200 meta mark set meta mark & 0xfffff0ff | 0x00000200"
    ) in rules(text, "prerouting")
    assert "0x00ff0000" not in text


def test_a_pinned_source_is_named_and_another_left_to_the_kernel() -> None:
    uplinks = copy.deepcopy(PILLAR["uplinks"])
    uplinks["wan1"]["source"] = "198.51.100.9"
    found = rules(render_nat(config(uplinks=uplinks)), "source")
    assert found[0].endswith("ct mark & 0x00ff0000 == 0x00010000 snat ip to 198.51.100.9")
    assert found[1].endswith("ct mark & 0x00ff0000 == 0x00020000 masquerade")


def test_without_networks_nothing_is_translated_and_flows_keep_their_line_all_the_same() -> None:
    text = render_nat(config(nat={}))
    assert rules(text, "source") == []
    assert len(rules(text, "prerouting")) == 7


def test_lines_on_one_interface_are_told_apart_by_gateway_and_source() -> None:
    uplinks = copy.deepcopy(PILLAR["uplinks"])
    uplinks["wan2"] |= {"interface": "wan1", "source": "198.51.100.130"}
    text = render_nat(config(uplinks=uplinks))
    arriving = [rule for rule in rules(text, "prerouting") if "ct mark set" in rule]
    # What came to wan1's address, which is not known, is told by where its answer goes.
    assert [rule.partition(" ct mark")[0] for rule in arriving] == [
        'iifname "wan1" ip daddr 198.51.100.130'
    ]
    leaving = [rule for rule in rules(text, "postrouting") if "ct mark set" in rule]
    assert [rule.partition(" ct mark")[0] for rule in leaving] == [
        f'oifname "wan1" rt {family} nexthop {gateway}'
        for family, gateway in (
            ("ip", "198.51.100.1"),
            ("ip6", "2001:db8:a::1"),
            ("ip", "198.51.100.129"),
            ("ip6", "2001:db8:b::1"),
        )
    ]


def test_a_prefix_that_two_networks_would_share_is_refused() -> None:
    nat = {
        "networks": ["2001:db8:1::/64", "2001:db8:2::/64"],
        "prefixes": {"wan1": "2001:db8:a1::/64"},
    }
    with pytest.raises(InputError, match="prefixes:wan1: 2001:db8:2::/64 does not fit"):
        render_nat(config(nat=nat))


def test_an_interface_name_reaches_nft_as_a_string_only() -> None:
    uplinks = copy.deepcopy(PILLAR["uplinks"])
    uplinks["wan1"]["interface"] = "wan-1.5"
    assert 'oifname "wan-1.5" ' in render_nat(config(uplinks=uplinks))


def test_every_rule_is_told_by_its_comment() -> None:
    found = expected(config())
    assert len(set(found)) == len(found)
    assert {chain for chain, _ in found} == set(CHAINS)
    assert expected(config(numbers={"mark_shift": 8, "mark_bits": 8})) != found
    comment = found[0][1].encode() + b"\0"
    data = struct.pack("BB", 7, 2) + b"xx" + struct.pack("BB", 0, len(comment)) + comment
    assert _comment_of(data) == found[0][1]
    assert _comment_of(data[:4]) == ""


def test_what_the_system_refuses_of_a_socket_is_an_error_of_ours() -> None:
    """The monitor goes on by such an error; another one would end it."""
    with pytest.raises(NetlinkError, match=r"netlink protocol 31: .*EPROTONOSUPPORT"):
        Netlink(31)
    closed = Netlink()
    closed.close()
    for call in (
        lambda: closed.dump(18, bytes(16), "interfaces"),
        lambda: closed.change(18, 0, b"", "interfaces"),
    ):
        with pytest.raises(NetlinkError, match=r"interfaces: .*EBADF"):
            call()
