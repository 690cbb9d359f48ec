"""What is put on the wire to ask for a peer's port and clock, and what comes back.

Pure. Formats: TCP segment and checksum (RFC 9293, 3.1), ICMP timestamp (RFC 792, "Timestamp or
Timestamp Reply Message"; RFC 1122, section 3.2.2), ``/proc/net/tcp`` (proc(5)), ``inet_diag``
of the kernel (linux/inet_diag.h) and its ``tcp_info`` (linux/tcp.h).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..announce import checksum
from ..wan.netlink import Message, listed_attributes

OPEN: Final = "open"
REFUSED: Final = "refused"

_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_TCP: Final = struct.Struct("!HHIIBBHHH")
_TIMESTAMP: Final = struct.Struct("!BBHHHIII")
_TIMESTAMP_REQUEST, _TIMESTAMP_REPLY = 13, 14
DAY: Final = 86_400_000
#: A sender that cannot tell milliseconds since midnight UT sets this bit.
_NOT_STANDARD: Final = 0x8000_0000

#: Numbers of the kernel's TCP states, include/net/tcp_states.h.
_STATES: Final = {
    1: "established",
    2: "syn-sent",
    3: "syn-received",
    4: "fin-wait-1",
    5: "fin-wait-2",
    6: "time-wait",
    7: "closed",
    8: "close-wait",
    9: "last-ack",
    10: "listening",
    11: "closing",
}
ESTABLISHED: Final = "established"
SYN_SENT: Final = "syn-sent"
SYN_RECEIVED: Final = "syn-received"
LISTENING: Final = "listening"

_DIAG_BY_FAMILY: Final = 20
_DIAG_REQUEST: Final = struct.Struct("=BBBBI")
_DIAG_INFO: Final = 2
_DIAG_MESSAGE: Final = 72
_LAST_RECEIVED: Final = 52
_EVERY_STATE: Final = 0xFFFFFFFF


class Session(NamedTuple):
    """Hold one TCP socket of this host.

    :param heard: seconds since data came in last; None: not told.
    """

    local: str
    local_port: int
    remote: str
    remote_port: int
    state: str
    heard: float | None = None


def render_syn(source: tuple[str, int], target: tuple[str, int], number: int) -> bytes:
    """Return a segment that asks for a connection, without any option.

    :param number: sequence number, which the answer acknowledges.
    """
    # A window of one segment: nothing is ever going to be sent.
    fields = [source[1], target[1], number, 0, 5 << 4, _SYN, 1460, 0, 0]
    segment = _TCP.pack(*fields)
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    fields[7] = checksum(addresses + struct.pack("!BBH", 0, 6, len(segment)) + segment)
    return _TCP.pack(*fields)


def parse_answer(packet: bytes, ports: tuple[int, int], number: int) -> str:
    """Return what a packet says to a `render_syn` of ours; empty: it is no answer to it.

    :param packet: with its IP header, as a raw socket gives it.
    :param ports: ours, then the one asked for.
    """
    at = (packet[0] & 0x0F) * 4 if packet else 0
    if not 20 <= at <= len(packet) - _TCP.size:
        return ""
    source, target, _, acknowledged, _, flags, _, _, _ = _TCP.unpack_from(packet, at)
    if (target, source) != ports or acknowledged != (number + 1) & 0xFFFFFFFF:
        return ""
    if flags & _RST:
        return REFUSED
    return OPEN if flags & (_SYN | _ACK) == _SYN | _ACK else ""


def render_timestamp(ident: int, number: int, sent: int) -> bytes:
    """Return an ICMP message that asks for a clock.

    :param sent: milliseconds since midnight UT.
    """
    fields = [_TIMESTAMP_REQUEST, 0, 0, ident, number, sent, 0, 0]
    fields[2] = checksum(_TIMESTAMP.pack(*fields))
    return _TIMESTAMP.pack(*fields)


def parse_timestamp(packet: bytes, ident: int, number: int, received: int) -> float | None:
    """Return by how much the other clock is ahead of ours (seconds); None: it is no answer.

    Half the round trip is taken off. Midnight between the two is seen, more than twelve hours
    are not.

    :param received: milliseconds since midnight UT when it came.
    """
    at = (packet[0] & 0x0F) * 4 if packet else 0
    if not 20 <= at <= len(packet) - _TIMESTAMP.size:
        return None
    kind, _, _, said, numbered, sent, there, left = _TIMESTAMP.unpack_from(packet, at)
    if (kind, said, numbered) != (_TIMESTAMP_REPLY, ident, number):
        return None
    if (there | left) & _NOT_STANDARD:
        return None
    ahead = _around(there - sent) + _around(left - received)
    return ahead / 2000


def _around(milliseconds: int) -> int:
    """Return a difference of times of day as the one that is within half a day."""
    return (milliseconds + DAY // 2) % DAY - DAY // 2


def parse_tcp_table(text: str) -> list[Session]:
    """Return the sockets of ``/proc/net/tcp``; what is no line of it is passed over."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            local, remote = _parse_place(words[1]), _parse_place(words[2])
            state = _STATES[int(words[3], 16)]
        except (IndexError, ValueError, KeyError):
            continue
        found.append(Session(*local, *remote, state))
    return found


def _parse_place(word: str) -> tuple[str, int]:
    """Read an address and a port: the address is a number in the host's own order."""
    address, _, port = word.partition(":")
    return socket.inet_ntoa(struct.pack("=I", int(address, 16))), int(port, 16)


def render_diag_request() -> tuple[int, bytes]:
    """Return type and body of the request for all TCP sockets of IPv4, with what TCP knows."""
    wanted = 1 << (_DIAG_INFO - 1)
    head = _DIAG_REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, wanted, 0, _EVERY_STATE)
    return _DIAG_BY_FAMILY, head + bytes(48)


def parse_diag(messages: list[Message]) -> Iterator[Session]:
    """Yield the sockets that the kernel has told of."""
    for message in messages:
        body = message.body
        if len(body) < _DIAG_MESSAGE:
            continue
        local_port, remote_port = struct.unpack_from("!HH", body, 4)
        state = _STATES.get(body[1], str(body[1]))
        heard = None
        for kind, data in listed_attributes(body[_DIAG_MESSAGE:]):
            if kind == _DIAG_INFO and len(data) >= _LAST_RECEIVED + 4:
                heard = struct.unpack_from("=I", data, _LAST_RECEIVED)[0] / 1000
        local, remote = socket.inet_ntoa(body[8:12]), socket.inet_ntoa(body[24:28])
        # What tcp_info has of a socket that has no connection is nothing.
        known = heard if state == ESTABLISHED else None
        yield Session(local, local_port, remote, remote_port, state, known)
