"""DHCP messages and the frames that carry them. Pure.

Formats: RFC 2131 (2: the message), RFC 2132 (options; 9.3: overload), RFC 3396 (an option in
several parts), RFC 791 and RFC 768 for what it goes in, RFC 826 for ARP.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..announce import checksum, parse_mac
from ..probe import ETH_ARP, mac_text
from ..wan.icmp import assemble

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

#: Numbers of options, RFC 2132.
MASK, ROUTERS, HOSTNAME = 1, 3, 12
WANTED_ADDRESS, LEASE_TIME, _OVERLOAD, KIND, SERVER = 50, 51, 52, 53, 54
PARAMETERS, RENEWAL, REBINDING, CLIENT_ID = 55, 58, 59, 61

SERVER_PORT, CLIENT_PORT = 67, 68
NOWHERE: Final = "0.0.0.0"
EVERYONE: Final = "255.255.255.255"
EVERY_MAC: Final = "ff:ff:ff:ff:ff:ff"

_HEAD: Final = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s")
_COOKIE: Final = b"\x63\x82\x53\x63"
_ASKS, _ANSWERS = 1, 2
_ETHERNET = 1
_BROADCAST = 0x8000
_PAD, _END = 0, 255
#: A message is at least as long as one of BOOTP (RFC 1542, 2.1).
_SHORTEST = 300
_IPV4 = 0x0800
_IP: Final = struct.Struct("!BBHHHBBH4s4s")
_UDP: Final = struct.Struct("!HHHH")
_ARP: Final = struct.Struct("!HHBBH6s4s6s4s")
_ARP_ASKS, _ARP_ANSWERS = 1, 2


@dataclass(frozen=True)
class Message:
    """Hold a message of a client or to it.

    :param kind: `DISCOVER` to `INFORM`.
    :param number: ``xid``.
    :param seconds: ``secs``: since the client began.
    :param broadcast: the client asks for an answer to all.
    :param own: ``ciaddr``: the address that the client has.
    :param given: ``yiaddr``: the one it gets.
    :param options: by number, without the kind.
    :param answers: it comes from a server.
    """

    kind: int
    number: int
    mac: str
    seconds: int = 0
    broadcast: bool = False
    own: str = NOWHERE
    given: str = NOWHERE
    relay: str = NOWHERE
    options: Mapping[int, bytes] = field(default_factory=dict)
    answers: bool = False

    def address(self, option: int) -> str:
        """Return the first address that an option has, or nothing."""
        data = self.options.get(option, b"")[:4]
        return socket.inet_ntoa(data) if len(data) == 4 else ""

    def span(self, option: int) -> float | None:
        """Return the seconds that an option has; None: it is not there, or means for ever."""
        data = self.options.get(option, b"")
        number = int.from_bytes(data, "big") if len(data) == 4 else 0xFFFFFFFF
        return None if number == 0xFFFFFFFF else float(number)


class Place(NamedTuple):
    """Hold one end of a frame."""

    mac: str
    address: str


class Arrived(NamedTuple):
    """Hold a message and where it came from and went to."""

    message: Message
    source: Place
    target: Place


def render_message(message: Message) -> bytes:
    """Return a message as it goes into a datagram."""
    head = _HEAD.pack(
        _ANSWERS if message.answers else _ASKS,
        _ETHERNET,
        6,
        0,
        message.number,
        min(max(message.seconds, 0), 0xFFFF),
        _BROADCAST if message.broadcast else 0,
        *(socket.inet_aton(a) for a in (message.own, message.given, NOWHERE, message.relay)),
        parse_mac(message.mac).ljust(16, b"\0"),
        b"",
        b"",
    )
    body = _COOKIE + _option(KIND, bytes([message.kind]))
    body += b"".join(_option(number, data) for number, data in message.options.items())
    return (head + body + bytes([_END])).ljust(_SHORTEST, b"\0")


def _option(number: int, data: bytes) -> bytes:
    """Return an option; one that is longer than a byte can say goes in parts."""
    parts = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
    return b"".join(bytes([number, len(part)]) + part for part in parts)


def parse_message(data: bytes) -> Message | None:
    """Read a message; None: it is none, or not one of Ethernet."""
    if len(data) < _HEAD.size + len(_COOKIE) or data[_HEAD.size :][:4] != _COOKIE:
        return None
    fields = _HEAD.unpack_from(data)
    way, hardware, size, _, number, seconds, flags = fields[:7]
    if way not in (_ASKS, _ANSWERS) or (hardware, size) != (_ETHERNET, 6):
        return None
    options = parse_options(data[_HEAD.size + 4 :])
    # The two names of a boot may hold options as well: first that of the file.
    overload = options.pop(_OVERLOAD, b"\0")[:1]
    for bit, held in ((1, fields[13]), (2, fields[12])):
        if overload and overload[0] & bit:
            for key, value in parse_options(held).items():
                options[key] = options.get(key, b"") + value
    kind = options.pop(KIND, b"")
    if len(kind) != 1 or not DISCOVER <= kind[0] <= INFORM:
        return None
    own, given, _, relay = (socket.inet_ntoa(address) for address in fields[7:11])
    return Message(
        kind[0],
        number,
        mac_text(fields[11][:6]),
        seconds,
        bool(flags & _BROADCAST),
        own,
        given,
        relay,
        options,
        way == _ANSWERS,
    )


def parse_options(data: bytes) -> dict[int, bytes]:
    """Read options up to their end; one that is cut off is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        size = data[at + 1] if at + 1 < len(data) else len(data)
        value = data[at + 2 : at + 2 + size]
        if len(value) < size:
            break
        found[data[at]] = found.get(data[at], b"") + value
        at += 2 + size
    return found


def render_frame(message: Message, source: Place, target: Place) -> bytes:
    """Return the Ethernet frame of a message: from a client's port to a server's, or back."""
    ports = (SERVER_PORT, CLIENT_PORT) if message.answers else (CLIENT_PORT, SERVER_PORT)
    data = render_message(message)
    addresses = socket.inet_aton(source.address) + socket.inet_aton(target.address)
    size = _UDP.size + len(data)
    pseudo = addresses + struct.pack("!BBH", 0, socket.IPPROTO_UDP, size)
    summed = checksum(pseudo + _UDP.pack(*ports, size, 0) + data)
    # Nought would say that there is no checksum.
    datagram = _UDP.pack(*ports, size, summed or 0xFFFF) + data
    fields = [0x45, 0x10, _IP.size + size, 0, 0, 64, socket.IPPROTO_UDP, 0]
    fields[7] = checksum(_IP.pack(*fields, addresses[:4], addresses[4:]))
    header = _IP.pack(*fields, addresses[:4], addresses[4:])
    return _ethernet(source.mac, target.mac, _IPV4) + header + datagram


def _ethernet(source: str, target: str, kind: int) -> bytes:
    return parse_mac(target) + parse_mac(source) + struct.pack("!H", kind)


def parse_frame(frame: bytes) -> Arrived | None:
    """Read a frame with a message to a client or a server; None: it is anything else.

    The datagram's checksum is not looked at: of what the same machine sends it is often left
    to hardware that is not there.
    """
    at = 14 + (frame[14] & 0x0F) * 4 if len(frame) > 14 else 0
    if at < 34 or len(frame) < at + _UDP.size or frame[12:14] != struct.pack("!H", _IPV4):
        return None
    _, _, size, _, part, _, protocol, _, source, target = _IP.unpack_from(frame, 14)
    if frame[14] >> 4 != 4 or part & 0x3FFF or protocol != socket.IPPROTO_UDP:
        return None
    port_from, port_to, length, _ = _UDP.unpack_from(frame, at)
    if {port_from, port_to} - {SERVER_PORT, CLIENT_PORT} or 14 + size > len(frame):
        return None
    message = parse_message(frame[at + _UDP.size : min(at + length, 14 + size)])
    if message is None:
        return None
    return Arrived(
        message,
        Place(mac_text(frame[6:12]), socket.inet_ntoa(source)),
        Place(mac_text(frame[:6]), socket.inet_ntoa(target)),
    )


# -- ARP -------------------------------------------------------------------------------------


def parse_question(frame: bytes) -> tuple[str, Place] | None:
    """Return the address that an ARP request asks for, and who asks; None: it is none."""
    found = _parse_arp(frame)
    if found is None or found[0] != _ARP_ASKS:
        return None
    _, asker, target = found
    return target.address, asker


def parse_claim(frame: bytes) -> Place | None:
    """Return who says in an ARP reply that an address is theirs; None: it is none."""
    found = _parse_arp(frame)
    return found[1] if found is not None and found[0] == _ARP_ANSWERS else None


def _parse_arp(frame: bytes) -> tuple[int, Place, Place] | None:
    if len(frame) < 14 + _ARP.size or frame[12:14] != struct.pack("!H", ETH_ARP):
        return None
    hardware, protocol, *sizes, way, mac, address, to_mac, to_address = _ARP.unpack_from(frame, 14)
    if (hardware, protocol, sizes) != (_ETHERNET, _IPV4, [6, 4]):
        return None
    source = Place(mac_text(mac), socket.inet_ntoa(address))
    return way, source, Place(mac_text(to_mac), socket.inet_ntoa(to_address))


def render_claim(own: Place, asker: Place) -> bytes:
    """Return the ARP reply that says to one who asks: the address is here."""
    ends = (
        parse_mac(own.mac),
        socket.inet_aton(own.address),
        parse_mac(asker.mac),
        socket.inet_aton(asker.address),
    )
    arp = _ARP.pack(_ETHERNET, _IPV4, 6, 4, _ARP_ANSWERS, *ends)
    return _ethernet(own.mac, asker.mac, ETH_ARP) + arp


# -- what the kernel passes on ---------------------------------------------------------------

_LDH, _LDB, _LDX_MSH, _LDH_X, _JUMP_IF_SET = 0x28, 0x30, 0xB1, 0x48, 0x45
_JUMP_IF_EQUAL = 0x15


def client_filter() -> bytes:
    """Return the filter of a packet socket for clients: ARP, and what goes to a client's port.

    Classic BPF, ``Documentation/networking/filter.rst`` of the kernel.
    """
    take, drop = "take", "drop"
    return assemble(
        [
            ("", _LDH, 12, "", ""),
            ("", _JUMP_IF_EQUAL, ETH_ARP, take, ""),
            ("", _JUMP_IF_EQUAL, _IPV4, "", drop),
            ("", _LDB, 14 + 9, "", ""),
            ("", _JUMP_IF_EQUAL, socket.IPPROTO_UDP, "", drop),
            # A later part of a datagram has no ports.
            ("", _LDH, 14 + 6, "", ""),
            ("", _JUMP_IF_SET, 0x1FFF, drop, ""),
            ("", _LDX_MSH, 14, "", ""),
            ("", _LDH_X, 14 + 2, "", ""),
            ("", _JUMP_IF_EQUAL, CLIENT_PORT, take, drop),
        ]
    )
