"""Packets and tables: what is sent, what counts as an answer, and that nothing else does."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias import announce
from saltext.ipalias.dhcp import segments
from saltext.ipalias.dhcp.segments import Session
from saltext.ipalias.wan.netlink import Message, attribute

IP = b"\x45" + bytes(19)
OURS, PORT, NUMBER = 40000, 647, 0xFFFFFFFF
SYN, RST, ACK = 0x02, 0x04, 0x10
#: Of a real kernel: a listener, a session onto our port, and one of ours.
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1EE7 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0
   1: 020200C0:0287 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0
   2: 020200C0:0287 030200C0:91D3 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0
   3: 020200C0:A48A 030200C0:0287 02 00000000:00000000 00:00000000 00000000     0        0 4 1 0
   nonsense
   4: 020200C0:zz 030200C0:0287 02
   5: 020200C0:A48A 030200C0:0287 7F
"""


def answer(flags: int, **other: int) -> bytes:
    """Return what a server's kernel says to our segment."""
    fields = {"source": PORT, "target": OURS, "ack": (NUMBER + 1) & 0xFFFFFFFF, **other}
    head = struct.pack("!HHII", fields["source"], fields["target"], 7, fields["ack"])
    return IP + head + struct.pack("!BBHHH", 5 << 4, flags, 0, 0, 0)


def test_a_segment_that_asks_is_a_syn_whose_checksum_is_right() -> None:
    made = segments.render_syn(("192.0.2.2", OURS), ("192.0.2.3", PORT), NUMBER)
    assert struct.unpack("!HHII", made[:12]) == (OURS, PORT, NUMBER, 0)
    assert made[13] == SYN and len(made) == 20
    pseudo = socket.inet_aton("192.0.2.2") + socket.inet_aton("192.0.2.3")
    # Over a message with its own checksum the sum is nothing (RFC 1071).
    assert announce.checksum(pseudo + struct.pack("!BBH", 0, 6, 20) + made) == 0


@pytest.mark.parametrize(
    ("packet", "kind"),
    [
        (answer(SYN | ACK), segments.OPEN),
        (answer(RST | ACK), segments.REFUSED),
        (answer(ACK), ""),
        (answer(SYN | ACK, ack=5), ""),
        (answer(SYN | ACK, source=648), ""),
        (answer(SYN | ACK, target=1), ""),
        (answer(SYN | ACK)[:30], ""),
        (b"", ""),
    ],
)
def test_only_the_answer_to_ours_is_one(packet: bytes, kind: str) -> None:
    assert segments.parse_answer(packet, (OURS, PORT), NUMBER) == kind


@given(st.binary(max_size=80))
def test_no_packet_breaks_a_reader(packet: bytes) -> None:
    segments.parse_answer(packet, (OURS, PORT), NUMBER)
    segments.parse_timestamp(packet, 1, 2, 3)
    list(segments.parse_diag([Message(20, packet)]))


def reply(sent: int, there: int, left: int, ident: int = 7, number: int = 9) -> bytes:
    return IP + struct.pack("!BBHHHIII", 14, 0, 0, ident, number, sent, there, left)


@pytest.mark.parametrize(
    ("sent", "there", "received", "ahead"),
    [
        (1000, 1000, 1000, 0.0),
        (1000, 46000, 1002, 44.999),
        (50000, 5000, 50000, -45.0),
        # Midnight is between the two clocks.
        (segments.DAY - 1000, 1000, segments.DAY - 1000, 2.0),
        (1000, segments.DAY - 1000, 1000, -2.0),
        # And between question and answer.
        (segments.DAY - 2, 0, 2, 0.0),
    ],
)
def test_a_clock_is_read_to_the_half_of_the_round_trip(
    sent: int, there: int, received: int, ahead: float
) -> None:
    packet = reply(sent, there, there)
    assert segments.parse_timestamp(packet, 7, 9, received) == pytest.approx(ahead)


def test_a_clock_that_is_not_told_as_it_should_be_is_not_known() -> None:
    assert segments.parse_timestamp(reply(0, 1 << 31, 1 << 31), 7, 9, 0) is None
    assert segments.parse_timestamp(reply(0, 0, 0, ident=8), 7, 9, 0) is None
    request = IP + segments.render_timestamp(7, 9, 0)
    assert segments.parse_timestamp(request, 7, 9, 0) is None, "our own question"
    assert announce.checksum(request[20:]) == 0


def test_the_kernels_table_is_read_and_nonsense_in_it_passed_over() -> None:
    assert segments.parse_tcp_table(TABLE) == [
        Session("0.0.0.0", 7911, "0.0.0.0", 0, "listening"),
        Session("192.0.2.2", 647, "0.0.0.0", 0, "listening"),
        Session("192.0.2.2", 647, "192.0.2.3", 37331, "established"),
        Session("192.0.2.2", 42122, "192.0.2.3", 647, "syn-sent"),
    ]


def diag(state: int, heard: int) -> Message:
    place = struct.pack("!HH", 647, 37331) + socket.inet_aton("192.0.2.2") + bytes(12)
    place += socket.inet_aton("192.0.2.3") + bytes(12) + bytes(12)
    body = bytes([2, state, 0, 0]) + place + bytes(20)
    info = bytes(52) + struct.pack("=I", heard) + bytes(48)
    return Message(20, body + attribute(2, info))


def test_the_kernel_tells_when_data_came_last() -> None:
    [session] = segments.parse_diag([diag(1, 2500)])
    assert session == Session("192.0.2.2", 647, "192.0.2.3", 37331, "established", 2.5)
    [session] = segments.parse_diag([diag(2, 2500)])
    assert (session.state, session.heard) == ("syn-sent", None)
