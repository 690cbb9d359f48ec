"""Ask a segment whether somebody has an address: ARP probes, neighbour solicitations.

Pure: frames to send and frames heard. Formats: RFC 5227 section 2.1.1 (an ARP probe has
the sender address 0.0.0.0), RFC 4862 section 5.4.2 (a solicitation from ``::``), RFC 4861
sections 4.3 and 4.4, RFC 2464 for the Ethernet multicast addresses.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection

from .announce import checksum, parse_mac

ETH_ARP = 0x0806
ETH_IPV6 = 0x86DD
_ARP_HEAD = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_REQUEST, _REPLY = 1, 2
_SOLICIT, _ADVERTISE = 135, 136


def mac_text(data: bytes) -> str:
    """Return a hardware address in colon form."""
    return data.hex(":")


def render_probe(mac: str, address: str, source: str | None = None) -> bytes:
    """Return the frame that asks for an address.

    :param source: our own address, to get an answer as an ordinary neighbour; None asks as
        one who does not have an address yet, which leaves no trace in the others' tables.
    """
    if ":" in address:
        return _solicitation(mac, address, source)
    own = parse_mac(mac)
    sender = socket.inet_aton(source or "0.0.0.0")
    arp = _ARP_HEAD + struct.pack("!H", _REQUEST)
    arp += own + sender + bytes(6) + socket.inet_aton(address)
    return b"\xff" * 6 + own + struct.pack("!H", ETH_ARP) + arp


def _solicitation(mac: str, address: str, asker: str | None) -> bytes:
    target = socket.inet_pton(socket.AF_INET6, address)
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:ff00:0")[:13] + target[13:]
    body = struct.pack("!BBHI", _SOLICIT, 0, 0, 0) + target
    source = bytes(16)
    if asker is not None:
        # The source link-layer address option, which only one who has an address may send.
        source = socket.inet_pton(socket.AF_INET6, asker)
        body += b"\x01\x01" + parse_mac(mac)
    pseudo = source + group + struct.pack("!IHBB", len(body), 0, 0, 58)
    body = body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + source + group
    ethernet = b"\x33\x33" + group[12:] + parse_mac(mac) + struct.pack("!H", ETH_IPV6)
    return ethernet + header + body


def parse_answer(frame: bytes, own_mac: str, asked: Collection[str]) -> tuple[str, str] | None:
    """Return address and hardware address of one who claims an address we asked for.

    An ARP reply, an ARP request or probe from the address, or an advertisement; what we
    sent ourselves is no answer. Two hosts that probe for one address at once both hear
    the other's probe (RFC 5227), so a probe for it by another counts as a claim too.
    """
    if len(frame) < 42:
        return None
    kind = struct.unpack("!H", frame[12:14])[0]
    own = parse_mac(own_mac)
    if frame[6:12] == own:
        return None
    if kind == ETH_ARP:
        return _arp_answer(frame, own, asked)
    if kind == ETH_IPV6 and len(frame) >= 78 and frame[20] == 58:
        return _advertisement(frame, asked)
    return None


def _arp_answer(frame: bytes, own: bytes, asked: Collection[str]) -> tuple[str, str] | None:
    operation = struct.unpack("!H", frame[20:22])[0]
    claimant, sender = frame[22:28], socket.inet_ntoa(frame[28:32])
    if claimant == own or operation not in (_REQUEST, _REPLY):
        return None
    if sender in asked:
        return sender, mac_text(claimant)
    target = socket.inet_ntoa(frame[38:42])
    if operation == _REQUEST and sender == "0.0.0.0" and target in asked:
        return target, mac_text(claimant)
    return None


def _advertisement(frame: bytes, asked: Collection[str]) -> tuple[str, str] | None:
    kind = frame[54]
    target = socket.inet_ntop(socket.AF_INET6, frame[62:78])
    unspecified = frame[22:38] == bytes(16)
    if target in asked and (kind == _ADVERTISE or (kind == _SOLICIT and unspecified)):
        return target, mac_text(frame[6:12])
    return None
