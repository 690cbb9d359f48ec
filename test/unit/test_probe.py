"""Frames that ask for an address, built and read byte by byte as the standards have them."""

from __future__ import annotations

import itertools
import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias import wire
from saltext.ipalias.announce import checksum, render_frame
from saltext.ipalias.effects import Probe
from saltext.ipalias.errors import InputError
from saltext.ipalias.probe import parse_answer, render_probe

OWN, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:02"
SIX = "2001:db8::10"


def test_an_arp_probe_is_that_of_rfc_5227() -> None:
    assert render_probe(OWN, "192.0.2.10").hex() == (
        "ffffffffffff"
        "020000000001"
        "0806"  # to all, from us, ARP
        "0001"
        "0800"
        "06"
        "04"
        "0001"  # Ethernet, IPv4, request
        "020000000001"
        "00000000"  # our hardware address, no address yet
        "000000000000"
        "c000020a"
    )


def test_an_arp_request_with_a_source_asks_as_a_neighbour() -> None:
    frame = render_probe(OWN, "192.0.2.10", "192.0.2.2")
    assert frame[28:32].hex() == "c0000202"


def test_a_solicitation_is_that_of_rfc_4862() -> None:
    frame = render_probe(OWN, SIX)
    assert frame[:14].hex() == "3333ff00001002000000000186dd"
    assert frame[14:22].hex() == "6000000000183aff"
    assert frame[22:38] == bytes(16)  # from the unspecified address
    assert frame[38:54].hex() == "ff0200000000000000000001ff000010"
    assert frame[54:56].hex() == "8700"
    assert frame[62:78].hex() == "20010db8000000000000000000000010"
    assert len(frame) == 78  # no source link-layer address: it has none to tell
    pseudo = frame[22:54] + (24).to_bytes(4, "big") + (58).to_bytes(4, "big")
    assert checksum(pseudo + frame[54:]) == 0


def arp(operation: int, mac: str, sender: str, target: str) -> bytes:
    """Return an ARP frame as another host sends it, put together here by hand."""
    hardware = bytes.fromhex(mac.replace(":", ""))

    def packed(address: str) -> bytes:
        return bytes(int(part) for part in address.split("."))

    head = b"\xff" * 6 + hardware
    head += bytes.fromhex("0806000108000604") + operation.to_bytes(2, "big")
    return head + hardware + packed(sender) + bytes(6) + packed(target)


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (arp(2, OTHER, "192.0.2.10", "0.0.0.0"), ("192.0.2.10", OTHER)),
        # Any ARP from the address shows that somebody has it.
        (arp(1, OTHER, "192.0.2.10", "192.0.2.1"), ("192.0.2.10", OTHER)),
        # Two that probe for one address at once.
        (arp(1, OTHER, "0.0.0.0", "192.0.2.10"), ("192.0.2.10", OTHER)),
        (arp(2, OTHER, "192.0.2.11", "192.0.2.10"), None),
        (arp(1, OTHER, "192.0.2.9", "192.0.2.10"), None),
        (arp(3, OTHER, "192.0.2.10", "0.0.0.0"), None),
        (arp(1, OWN, "0.0.0.0", "192.0.2.10"), None),
        (arp(2, OTHER, "192.0.2.10", "0.0.0.0") + bytes(18), ("192.0.2.10", OTHER)),
        (arp(2, OTHER, "192.0.2.10", "0.0.0.0")[:41], None),
        (b"", None),
    ],
)
def test_who_answers_for_an_ipv4_address(frame: bytes, answer: object) -> None:
    assert parse_answer(frame, OWN, {"192.0.2.10"}) == answer


def test_who_answers_for_an_ipv6_address() -> None:
    asked = {SIX}
    assert parse_answer(render_frame(OTHER, SIX), OWN, asked) == (SIX, OTHER)
    assert parse_answer(render_probe(OTHER, SIX), OWN, asked) == (SIX, OTHER)
    assert parse_answer(render_frame(OTHER, "2001:db8::11"), OWN, asked) is None
    assert parse_answer(render_frame(OWN, SIX), OWN, asked) is None
    # A solicitation with a source is a neighbour that looks for the address.
    ordinary = bytearray(render_probe(OTHER, SIX))
    ordinary[22:38] = bytes.fromhex("20010db8000000000000000000000099")
    assert parse_answer(bytes(ordinary), OWN, asked) is None
    assert parse_answer(render_frame(OTHER, SIX)[:77], OWN, asked) is None


@given(st.binary(max_size=120), st.sampled_from([b"", b"\x08\x06", b"\x86\xdd"]))
def test_any_frame_is_an_answer_or_none(data: bytes, kind: bytes) -> None:
    frame = data[:12] + kind + data[12:]
    answer = parse_answer(frame, OWN, {"192.0.2.10", SIX})
    assert answer is None or answer[0] in ("192.0.2.10", SIX)


def test_a_link_without_an_ethernet_address_is_refused() -> None:
    with pytest.raises(InputError, match="is not an Ethernet address"):
        render_probe("00:11", "192.0.2.10")


def test_a_segment_that_is_never_quiet_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(wire, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    reading, writing = os.pipe()
    frames = itertools.count()

    class Flooded:
        def fileno(self) -> int:
            return reading

        def recv(self, size: int) -> bytes:
            assert next(frames) < 100
            return b"x" * 60

    os.write(writing, b"x")
    effect = Probe("eth0", OWN, ("192.0.2.9",), (), 1, 3.0)
    heard: dict[str, list[str]] = {}
    try:
        wire._listen([Flooded()], effect, frozenset(effect.asked), heard, 3.0)  # type: ignore[list-item]
    finally:
        os.close(reading)
        os.close(writing)
    assert heard == {}
    assert next(frames) > 3
