"""DHCP messages and frames: what is written is what is read, and nothing odd gets through."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saltext.ipalias import announce
from saltext.ipalias.dhcp import packet
from saltext.ipalias.dhcp.packet import Message, Place

MAC = "02:00:00:00:00:07"
SERVER = Place("02:00:00:00:00:01", "192.0.2.10")
EVERYONE = Place(packet.EVERY_MAC, packet.EVERYONE)

addresses = st.integers(0, 2**32 - 1).map(lambda n: socket.inet_ntoa(struct.pack("!I", n)))
# Not the kind, nor the overload, which say how the others are read.
numbers = st.integers(1, 254).filter(lambda n: n not in (packet.KIND, 52))
messages = st.builds(
    Message,
    kind=st.integers(1, 8),
    number=st.integers(0, 2**32 - 1),
    mac=st.binary(min_size=6, max_size=6).map(lambda data: data.hex(":")),
    seconds=st.integers(0, 65535),
    broadcast=st.booleans(),
    own=addresses,
    given=addresses,
    relay=addresses,
    options=st.dictionaries(numbers, st.binary(max_size=300), max_size=4),
    answers=st.booleans(),
)


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    data = packet.render_message(message)
    assert len(data) >= 300
    assert packet.parse_message(data) == message
    source, target = SERVER, Place(message.mac, "192.0.2.77")
    frame = packet.render_frame(message, source, target)
    assert packet.parse_frame(frame) == (message, source, target)


@pytest.mark.parametrize("more", [0, 1])
def test_a_message_may_have_an_odd_number_of_bytes(more: int) -> None:
    message = Message(1, 7, MAC, options={61: bytes(100 + more)})
    assert len(packet.render_message(message)) % 2 == more
    frame = packet.render_frame(message, SERVER, EVERYONE)
    datagram = frame[34:]
    pseudo = frame[26:34] + bytes([0, 17]) + len(datagram).to_bytes(2, "big")
    assert announce.checksum(pseudo + datagram) == 0, "as its receiver sums it up"


def test_a_message_has_its_fields_where_the_standard_says() -> None:
    message = Message(1, 0x01020304, MAC, 5, True, options={61: b"\x01abc"})
    data = packet.render_message(message)
    assert data[:12] == bytes([1, 1, 6, 0, 1, 2, 3, 4, 0, 5, 0x80, 0])
    assert data[28:44] == bytes([2, 0, 0, 0, 0, 7]) + bytes(10)
    assert data[236:] == (
        b"\x63\x82\x53\x63" + bytes([53, 1, 1, 61, 4, 1]) + b"abc\xff" + bytes(300 - 250)
    )


@given(st.binary(max_size=600))
def test_what_is_no_frame_is_nothing(data: bytes) -> None:
    good = packet.render_frame(Message(2, 1, MAC, answers=True), SERVER, EVERYONE)
    for frame in (data, good[:14] + data, good[:42] + data, good[:282] + data):
        packet.parse_frame(frame)
        packet.parse_question(frame)
        packet.parse_claim(frame)
    packet.parse_message(data)
    packet.parse_options(data)


def test_each_cut_of_a_frame_is_borne() -> None:
    good = packet.render_frame(Message(2, 1, MAC, answers=True), SERVER, EVERYONE)
    assert packet.parse_frame(good) is not None
    assert [packet.parse_frame(good[:size]) for size in range(len(good))] == [None] * len(good)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param((12, b"\x86\xdd"), id="IPv6"),
        pytest.param((14, b"\x65"), id="a header of IPv6"),
        pytest.param((20, b"\x20\x00"), id="a part of more"),
        pytest.param((20, b"\x00\x01"), id="a later part"),
        pytest.param((23, b"\x06"), id="TCP"),
        pytest.param((36, b"\x00\x45"), id="another port"),
        pytest.param((42, b"\x03"), id="neither question nor answer"),
        pytest.param((43, b"\x20"), id="not Ethernet"),
        pytest.param((278, b"\x00"), id="no cookie"),
        pytest.param((284, b"\x09"), id="no kind that there is"),
    ],
)
def test_another_frame_is_none_of_ours(change: tuple[int, bytes]) -> None:
    good = packet.render_frame(Message(2, 1, MAC, answers=True), SERVER, EVERYONE)
    at, data = change
    assert packet.parse_frame(good) is not None
    assert packet.parse_frame(good[:at] + data + good[at + len(data) :]) is None


def test_options_in_the_fields_of_names_are_read() -> None:
    data = bytearray(packet.render_message(Message(5, 1, MAC, answers=True)))
    data[240:247] = bytes([53, 1, 5, 52, 1, 3, 255])
    data[108:112] = bytes([54, 2, 192, 0])
    data[44:49] = bytes([54, 2, 2, 10, 255])
    message = packet.parse_message(bytes(data))
    assert message is not None
    # That of the file comes before that of the name, and the parts are one.
    assert message.address(packet.SERVER) == "192.0.2.10"


def test_checksums_are_right() -> None:
    frame = packet.render_frame(Message(1, 1, MAC), Place(MAC, packet.NOWHERE), EVERYONE)
    pseudo = frame[26:34] + bytes([0, 17]) + frame[38:40]

    def folded(data: bytes) -> int:
        total = sum(struct.unpack(f"!{len(data) // 2}H", data))
        return (total & 0xFFFF) + (total >> 16)

    assert folded(frame[14:34]) == 0xFFFF
    assert folded(pseudo + frame[34:]) == 0xFFFF


def test_spans() -> None:
    options = {51: struct.pack("!I", 600), 58: b"\xff\xff\xff\xff", 59: b"\0"}
    message = Message(5, 1, MAC, options=options)
    assert message.span(packet.LEASE_TIME) == 600.0
    assert message.span(packet.RENEWAL) is None
    assert message.span(packet.REBINDING) is None
    assert message.address(packet.SERVER) == ""


def test_a_question_by_arp_gets_its_answer() -> None:
    asker, own = SERVER, Place(MAC, "192.0.2.77")
    question = bytes.fromhex(
        "ffffffffffff 020000000001 0806 0001 0800 06 04 0001"
        "020000000001 c000020a 000000000000 c000024d"
    )
    assert packet.parse_question(question) == ("192.0.2.77", asker)
    assert packet.parse_claim(question) is None
    answer = packet.render_claim(own, asker)
    assert packet.parse_claim(answer) == own
    assert packet.parse_question(answer) is None
    assert answer[:6] == bytes.fromhex("020000000001")
    assert answer[32:42] == bytes.fromhex("020000000001 c000020a")
