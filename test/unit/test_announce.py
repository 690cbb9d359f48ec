"""Frames that announce an address, against frames written out by hand."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias import announce
from saltext.ipalias.errors import InputError

MAC = "02:00:5e:00:53:01"

# RFC 826 layout, byte by byte.
REQUEST = bytes.fromhex(
    "ffffffffffff" "02005e005301" "0806"
    "0001" "0800" "06" "04" "0001"
    "02005e005301" "c000020a" "ffffffffffff" "c000020a"
)  # fmt: skip


def test_request() -> None:
    assert announce.render_garp(MAC, "192.0.2.10") == REQUEST


def test_reply_has_the_sender_for_its_target() -> None:
    reply = announce.render_garp(MAC, "192.0.2.10", reply=True)
    assert reply == (
        REQUEST[:20] + b"\x00\x02" + REQUEST[22:32] + bytes.fromhex("02005e005301") + REQUEST[38:]
    )


def test_advertisement() -> None:
    frame = announce.render_na(MAC, "2001:db8::10")
    target = bytes.fromhex("20010db8000000000000000000000010")
    nodes = bytes.fromhex("ff020000000000000000000000000001")
    assert frame[:14] == bytes.fromhex("33330000000102005e00530186dd")
    assert frame[14:22] == bytes.fromhex("6000000000203aff")
    assert frame[22:54] == target + nodes
    assert frame[54:56] == b"\x88\x00"
    assert frame[58:62] == b"\x20\x00\x00\x00", "override, neither router nor solicited"
    assert frame[62:78] == target
    assert frame[78:] == bytes.fromhex("020102005e005301")


def test_advertisement_of_a_router() -> None:
    assert announce.render_na(MAC, "2001:db8::10", router=True)[58] == 0xA0


@given(
    st.integers(0, 2**48 - 1),
    st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address),
    st.booleans(),
)
def test_checksum_is_what_a_receiver_computes(
    mac: int, address: ipaddress.IPv6Address, router: bool
) -> None:
    octets = mac.to_bytes(6, "big").hex(":")
    frame = announce.render_na(octets, str(address), router)
    icmp = frame[54:]
    data = frame[22:54] + struct.pack("!II", len(icmp), 58) + icmp
    total = sum(int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2))
    # One's complement arithmetic: modulo 0xffff, a right checksum makes the sum a zero.
    assert total % 0xFFFF == 0
    assert struct.unpack("!H", frame[18:20])[0] == len(icmp)


def test_frame_by_family() -> None:
    assert announce.render_frame(MAC, "192.0.2.10") == REQUEST
    assert announce.render_frame(MAC, "2001:db8::10", router=True) == (
        announce.render_na(MAC, "2001:db8::10", router=True)
    )


@pytest.mark.parametrize("mac", ["", "02:00:5e", "zz:00:5e:00:53:01", "00:" * 19 + "00"])
def test_link_without_an_ethernet_address_is_refused(mac: str) -> None:
    for address in ("192.0.2.10", "2001:db8::10"):
        with pytest.raises(InputError, match="not an Ethernet address"):
            announce.render_frame(mac, address)


@pytest.mark.parametrize("address", ["192.0.2.300", "2001:db8:::1", ""])
def test_bad_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"is not an IPv[46] address"):
        announce.render_frame(MAC, address)
